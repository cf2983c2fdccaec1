"""What there is before the first made-up request: an ingestion that has loaded files, and one that has not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.support.installation import Installation
from tests.support.landing import Landing, s3_client, spark_session

KNOWN_VARIABLE = "FUZZ_KNOWN"
"""Carries ``Known`` to the hooks, as JSON."""

Known = list[dict[str, str]]
"""Values of path parameters that belong together."""


@asynccontextmanager
async def seeded(autoloader: Installation) -> AsyncIterator[Known]:
    """Files, tables and ids; files and tables are gone afterwards."""
    spark = await asyncio.to_thread(spark_session)
    try:
        async with Landing(autoloader, s3_client(), spark) as loaded:
            try:
                yield [await _loaded(loaded), await _untouched(loaded)]
            finally:
                await asyncio.to_thread(_drop, loaded)
    finally:
        await asyncio.to_thread(spark.stop)


async def _loaded(landing: Landing) -> dict[str, str]:
    """Two good files and a broken one, so that there is something to list, to explain and to retry."""
    await landing.put("1.json", range(10))
    await landing.put("2.json", range(10, 20))
    broken = f"{landing.name}/3.json"
    landing.keys.add(broken)
    await asyncio.to_thread(landing.s3.put_object, Bucket="autoloader-landing", Key=broken, Body=b"{")
    run = await landing.run()
    assert run["status"] == "partial", run
    await landing.put("4.json", range(20, 30))
    post, mine = landing.autoloader.post, f"/{landing.ingestion_id}"
    tested = await landing.autoloader.client.post("/api/v1/clusters/local/test-connection")
    return {
        **await _told(landing.autoloader.client),
        "ingestion_id": landing.ingestion_id,
        "run_id": run["id"],
        "audit_id": (await post(f"{mine}/audit"))["audit_id"],
        "rebuild_id": (await post(f"{mine}/rebuild-ledger", confirm=True, dry_run=True))["rebuild_id"],
        "plan_id": (await post(f"{mine}/plan", kind="run"))["id"],
        "refresh_id": (await post(f"{mine}/refresh/full", confirm=True))["refresh_id"],
        "cluster_id": "local",
        "test_id": tested.json()["test_id"],
    }


async def _told(client: httpx.AsyncClient) -> dict[str, str]:
    """A webhook whose receiver is away, and something that waits for it."""
    made = await client.post("/api/v1/webhooks", json={"url": "http://127.0.0.1:1/hook"})
    sent = await client.post(f"/api/v1/webhooks/{made.json()['id']}/ping")
    return {"webhook_id": made.json()["id"], "delivery_id": sent.json()["id"]}


async def _untouched(landing: Landing) -> dict[str, str]:
    """A draft, of which anything may still be changed."""
    created = await landing.autoloader.post(
        "",
        name="draft",
        cluster_id="local",
        source={"path": "s3://autoloader-landing/nothing/"},
        destination={"catalog": "test_catalog", "database": "landing", "table": f"{landing.name}_draft"},
    )
    return {"ingestion_id": created["id"]}


def _drop(landing: Landing) -> None:
    """Also what refreshes have set aside."""
    for table in landing.spark.sql(f"SHOW TABLES IN test_catalog.landing LIKE '{landing.name}*'").collect():
        landing.spark.sql(f"DROP TABLE IF EXISTS test_catalog.landing.`{table.tableName}` PURGE").collect()
