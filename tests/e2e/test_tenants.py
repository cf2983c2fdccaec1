"""What one tenant has, another does not see: not by its id, and not by any path that the API describes."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.e2e.described import assert_explains_itself, operations
from tests.support.eventually import eventually
from tests.support.installation import Installation, installation
from tests.support.landing import Landing, s3_client, spark_session
from tests.support.receiver import receiver

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

CLUSTERS = {"GET /api/v1/clusters/{cluster_id}", "POST /api/v1/clusters/{cluster_id}/test-connection"}
"""A cluster is the installation's, not a tenant's."""


@pytest_asyncio.fixture
async def autoloader() -> AsyncIterator[Installation]:
    async with installation(settings={"AUTOLOADER_WEBHOOK_PRIVATE_ADDRESSES": "true"}) as started:
        await asyncio.gather(started.start("scanner"), started.start("executor"))
        started.client.timeout = httpx.Timeout(60)  # a refresh is answered when the executor has done it
        yield started


@pytest_asyncio.fixture
async def neighbour(autoloader: Installation) -> AsyncIterator[httpx.AsyncClient]:
    """Another tenant's API, over the same database."""
    async with autoloader.another_api(AUTOLOADER_TENANT_ID="neighbour") as client:
        yield client


async def told(client: httpx.AsyncClient) -> dict[str, str]:
    """A webhook, and what it was told; it hears of nothing that happens afterwards."""
    async with receiver() as hook:
        body = {"url": hook.url, "event_types": ["schema.changed"]}
        path = f"/api/v1/webhooks/{(await client.post('/api/v1/webhooks', json=body)).json()['id']}"
        sent = (await client.post(f"{path}/ping")).json()

        async def is_taken() -> bool:
            return bool((await client.get(f"{path}/deliveries/{sent['id']}")).json()["state"] == "delivered")

        await eventually(is_taken, 30, what="the ping is taken")
    return {"webhook_id": sent["webhook_id"], "delivery_id": sent["id"]}


async def one_of_everything(landing: Landing) -> dict[str, str]:
    """An id of each kind, by the name that paths have for it."""
    autoloader, path = landing.autoloader, f"/{landing.ingestion_id}"
    refresh = await autoloader.post(f"{path}/refresh/full", confirm=True, auto_run=False)
    await landing.put("0.json", range(10))
    run = await landing.run()
    plan = await autoloader.post(f"{path}/plan", kind="run")
    audit = await landing.ask_audit()
    rebuild = await landing.ask_rebuild()
    fill = await landing.ask_fill()
    test = await autoloader.client.post("/api/v1/clusters/local/test-connection")
    return {
        **await told(autoloader.client),
        "ingestion_id": landing.ingestion_id,
        "run_id": run["id"],
        "version": "1",
        "plan_id": plan["id"],
        "audit_id": audit["audit_id"],
        "rebuild_id": rebuild["rebuild_id"],
        "fill_id": fill["fill_id"],
        "refresh_id": refresh["refresh_id"],
        "cluster_id": "local",
        "test_id": test.json()["test_id"],
    }


def lasting(answer: httpx.Response) -> str:
    """What is said, without how long ago something was: time passes for the owner, too."""
    return re.sub(r'"lag_s":[0-9.]+', '"lag_s":0', answer.text)


class TestTenants:
    async def test_what_is_anothers_is_not_there(self, autoloader: Installation, neighbour: httpx.AsyncClient) -> None:
        """A tenant knows every id of its neighbour, and asks for everything that the API can do with them.

        Success criteria:
        - the owner finds each thing under its id
        - the neighbour is told that it is not there, with a code and a remedy, and has an empty list
        - nothing of the owner's has changed
        """
        spark = await asyncio.to_thread(spark_session)
        async with Landing(autoloader, s3_client(), spark) as landing:
            ids = await one_of_everything(landing)
            owner = autoloader.client
            asked = [o for o in await operations(owner) if "{" in o.path and str(o) not in CLUSTERS]
            readable = [o for o in asked if o.method == "GET" and not o.path.endswith("/files/explain")]
            assert len(readable) > 8, "The API describes all that can be read"

            async def seen_by_owner() -> dict[str, httpx.Response]:
                return {str(o): await o.ask(owner, ids) for o in readable}

            before = await seen_by_owner()
            assert {200} == {answer.status_code for answer in before.values()}, before
            for operation in asked:
                answer = await operation.ask(neighbour, ids)
                assert answer.status_code == 404, f"{operation}: {answer.status_code} {answer.text}"
                assert_explains_itself(answer)
            for path in ("/api/v1/ingestions", "/api/v1/webhooks"):
                assert (await neighbour.get(path)).json() == []

            after = await seen_by_owner()
            assert {o: lasting(answer) for o, answer in before.items()} == {
                o: lasting(answer) for o, answer in after.items()
            }
        await asyncio.to_thread(spark.stop)
