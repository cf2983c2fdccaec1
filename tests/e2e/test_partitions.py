"""A table that is partitioned as its user asked, stays so when it begins anew, and changes when the definition does."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    NewIngestion,
    get_table_identifier,
    put,
    run_to_end,
    wait_for_run_completion,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

DAYS = 5
EVENTS = [
    {"id": n, "ts": f"2025-01-{n % DAYS + 1:02}T{n % 24:02}:00:00Z", "place": f"a/b {n}" if n % 2 else None}
    for n in range(100)
]


async def _land(minio_client: Any, bucket: str, key: str, events: Sequence[dict[str, Any]]) -> None:
    body = "".join(json.dumps(event) + "\n" for event in events).encode()
    await put(minio_client, bucket, f"data/{key}", body)


async def _query(spark: SparkSession, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await asyncio.to_thread(spark.sql(query).collect)]


async def _parts(spark: SparkSession, table: str) -> list[str]:
    rows = await _query(spark, f"DESCRIBE TABLE {table}")
    return [row[1] for row in rows if row[0].startswith("Part ")]


async def _stored(spark: SparkSession, table: str) -> list[tuple[Any, ...]]:
    return await _query(
        spark, f"SELECT id, date_format(ts, \"yyyy-MM-dd'T'HH:mm:ss'Z'\"), place FROM {table} ORDER BY id"
    )


async def _refresh(api_client: httpx.AsyncClient, ingestion_id: str) -> dict[str, Any]:
    answer = await api_client.post(f"/api/v1/ingestions/{ingestion_id}/refresh/full", json={"confirm": True})
    assert answer.status_code == 202, problem_of(answer)
    return await wait_for_run_completion(api_client, ingestion_id, answer.json()["run_id"], poll_interval=0.2)


async def test_a_table_is_partitioned_as_asked_and_begins_anew_as_it_was(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    test_bucket: str,
    spark_session: SparkSession,
    new_ingestion: NewIngestion,
) -> None:
    """By day and by bucket.

    Success criteria:
    - an entry that names no field is told by a preview, and stops a run before there is a table; corrected, the same
      files are loaded
    - each row is there once, times as timestamps, in few files per partition
    - another definition leaves the table alone, and the run says so
    - a refresh keeps what was said of the table by hand; after another change of the definition it gives the new one
    """
    for number in range(10):
        await _land(minio_client, test_bucket, f"{number}.json", EVENTS[number * 10 : number * 10 + 10])
    ingestion = await new_ingestion(
        "partitions", destination={"partitioning": {"enabled": True, "columns": ["days(seen_at)", "bucket(4, id)"]}}
    )
    table, url = get_table_identifier(ingestion), f"/api/v1/ingestions/{ingestion['id']}"
    stopped = await run_to_end(api_client, ingestion["id"], expected_status="failed")
    assert {"partition_column_missing"} == {error["error_type"] for error in stopped["errors"]}
    assert not await asyncio.to_thread(spark_session.catalog.tableExists, table)

    async def partition_by(*columns: str) -> None:
        asked = {"partitioning": {"enabled": True, "columns": columns}}
        answer = await api_client.patch(url, json={"destination": asked})
        assert answer.status_code == 200, problem_of(answer)

    await partition_by("days(ts)", "bucket(4, id)")
    run = await run_to_end(api_client, ingestion["id"])
    assert (run["status"], run["warnings"]) == ("success", [])
    assert ["days(ts)", "bucket(4, id)"] == await _parts(spark_session, table)
    expected = [(event["id"], event["ts"], event["place"]) for event in EVENTS]
    assert expected == await _stored(spark_session, table)
    [(files, partitions)] = await _query(
        spark_session, f"SELECT count(*), count(DISTINCT partition) FROM {table}.data_files"
    )
    assert files == partitions > DAYS

    await partition_by("hours(ts)")
    await _land(minio_client, test_bucket, "more.json", [{"id": 100, "ts": "2025-01-01T00:00:00Z", "place": "x"}])
    run = await run_to_end(api_client, ingestion["id"])
    assert run["status"] == "success"
    assert any("is partitioned by days(ts), bucket(4, id), not by hours(ts)" in said for said in run["warnings"])
    await partition_by("days(ts)", "bucket(4, id)")

    for change in ("DROP PARTITION FIELD bucket(4, id)", "SET TBLPROPERTIES ('team' = 'birds')"):
        await _query(spark_session, f"ALTER TABLE {table} {change}")
    assert (await _refresh(api_client, ingestion["id"]))["status"] == "success"
    assert ["days(ts)"] == await _parts(spark_session, table)
    assert [("team", "birds")] == await _query(spark_session, f"SHOW TBLPROPERTIES {table} ('team')")
    expected.append((100, "2025-01-01T00:00:00Z", "x"))
    assert expected == await _stored(spark_session, table)

    await partition_by("months(ts)")
    assert (await _refresh(api_client, ingestion["id"]))["status"] == "success"
    assert ["months(ts)"] == await _parts(spark_session, table)
    assert expected == await _stored(spark_session, table)
