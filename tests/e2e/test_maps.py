"""An object whose names are data becomes one column, a map, and not one for each name."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    create_standard_ingestion,
    generate_unique_table_name,
    get_table_identifier,
    post,
    put,
    run_to_end,
    standard_definition,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


async def test_names_that_are_data_make_one_column(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    minio_config: dict[str, str],
    test_bucket: str,
    spark_session: SparkSession,
    test_cluster_id: str,
) -> None:
    """Clicks by page.

    Success criteria:
    - the preview shows a map, and the table has it, with every value under its name
    - later names change no column; a field that comes later is found out in the same way
    - a hint about a field of such an object keeps it an object
    """

    async def land(name: str, **record: Any) -> None:
        await put(minio_client, test_bucket, f"data/{name}.json", json.dumps(record).encode() + b"\n")

    pages = {f"/page {n}": n for n in range(150)}
    await land("a", id=1, clicks=pages)
    name = generate_unique_table_name("maps")
    definition = standard_definition(test_cluster_id, test_bucket, minio_config, name)
    shown = {column["name"]: column["type"] for column in (await post(api_client, "test", 200, definition))["schema"]}
    assert {"id": "bigint", "clicks": "map<string, bigint>"} == shown
    definition["format"]["schema"]["hints"] = {"clicks./page 7": "int"}
    hinted = (await post(api_client, "test", 200, definition))["schema"]
    assert [True] == [column["type"].startswith("struct<") for column in hinted if column["name"] == "clicks"]

    ingestion = await create_standard_ingestion(api_client, test_cluster_id, test_bucket, minio_config, name)
    await run_to_end(api_client, ingestion["id"])
    await land("b", id=2, clicks={"/new": 7}, seen={f"{n}": {"at": n} for n in range(150)})
    run = await run_to_end(api_client, ingestion["id"])
    assert 1 == run["metrics"]["records_ingested"]

    table = get_table_identifier(ingestion)
    await asyncio.to_thread(lambda: spark_session.sql(f"REFRESH TABLE {table}").collect())
    types = dict(await asyncio.to_thread(lambda: spark_session.table(table).dtypes))
    assert {"id": "bigint", "clicks": "map<string,bigint>", "seen": "map<string,struct<at:bigint>>"} == types
    query = f"SELECT id, size(clicks), clicks['/page 149'], clicks['/new'], seen['149'].at FROM {table} ORDER BY id"
    rows = await asyncio.to_thread(lambda: spark_session.sql(query).collect())
    assert [(1, 150, 149, None, None), (2, 1, None, 7, 149)] == [tuple(row) for row in rows]
