"""A field becomes a column, and rows from before get the values that were kept for them."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    create_standard_ingestion,
    generate_unique_table_name,
    get_table_identifier,
    post,
    put,
    run_to_end,
)
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

FILL_S = 120.0


async def test_what_was_rescued_goes_into_the_columns_that_came_later(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    minio_config: dict[str, str],
    test_bucket: str,
    spark_session: SparkSession,
    test_cluster_id: str,
) -> None:
    """A producer sends discounts before anybody wants them.

    Success criteria:
    - a table that rescues keeps them; when they are let in, they become a column for new rows
    - a fill puts the earlier ones in as well, in one commit, and says how many, and what does not fit
    - what does not fit, or has no column, stays rescued; a second fill finds nothing to do
    - a column that is not there is told; ledger, bucket and table still agree
    """

    async def land(name: str, *records: dict[str, Any]) -> None:
        body = "".join(json.dumps(record) + "\n" for record in records).encode()
        await put(minio_client, test_bucket, f"data/{name}.json", body)

    async def rows() -> list[tuple[Any, ...]]:
        await asyncio.to_thread(lambda: spark_session.sql(f"REFRESH TABLE {table}").collect())
        query = f"SELECT id, discount, _rescued_data FROM {table} ORDER BY id"
        found = await asyncio.to_thread(lambda: spark_session.sql(query).collect())
        return [
            (row[0], row[1], row[2] and {k: v for k, v in json.loads(row[2]).items() if k[0] != "_"}) for row in found
        ]

    async def fill(**body: Any) -> dict[str, Any]:
        accepted = await post(api_client, f"{ingestion['id']}/schema/fill", 202, body)

        async def is_over() -> dict[str, Any] | None:
            answer = await api_client.get(f"{url}/schema/fills/{accepted['fill_id']}")
            assert answer.status_code == 200, problem_of(answer)
            told: dict[str, Any] = answer.json()
            return told if told["status"] in ("done", "failed") else None

        done: dict[str, Any] = await eventually(is_over, FILL_S, what="the columns are filled")
        return done

    ingestion = await create_standard_ingestion(
        api_client,
        test_cluster_id,
        test_bucket,
        minio_config,
        generate_unique_table_name("filled"),
        format={"schema": {"inference": "manual", "schema_json": "id bigint", "schema_evolution_mode": "rescue"}},
    )
    table, url = get_table_identifier(ingestion), f"/api/v1/ingestions/{ingestion['id']}"
    await land("a", {"id": 1, "discount": 5}, {"id": 2, "discount": "much"}, {"id": 3, "discount": 7, "odd": [1]})
    await run_to_end(api_client, ingestion["id"])

    rules = {"inference": "auto", "schema_json": None, "schema_evolution_mode": "add_new_columns"}
    changed = {"format": {"schema": {**rules, "rescued_data_column": "_rescued_data"}}}
    assert (await api_client.patch(url, json=changed)).status_code == 200
    await land("b", {"id": 4, "discount": 9})
    await run_to_end(api_client, ingestion["id"])
    assert [(1, None), (2, None), (3, None), (4, 9)] == [row[:2] for row in await rows()]

    done = await fill(columns=["discount"])
    assert ("done", None) == (done["status"], done["problem"])
    assert {"rows_changed": 2, "columns": [{"column": "discount", "filled": 2, "unfit": 1}]} == done["report"]
    assert [(1, 5, None), (2, None, {"discount": "much"}), (3, 7, {"odd": [1]}), (4, 9, None)] == await rows()

    again = await fill()
    assert {"rows_changed": 0, "columns": [{"column": "discount", "filled": 0, "unfit": 1}]} == again["report"]
    refused = await fill(columns=["nobody_knows_it"])
    assert ("failed", "cannot_fill") == (refused["status"], refused["problem"]["error_type"])

    asked = await post(api_client, f"{ingestion['id']}/audit", 202)

    async def report() -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await api_client.get(f"{url}/audits/{asked['audit_id']}")).json()["report"]
        return found

    assert (await eventually(report, FILL_S, what="the audit is done"))["clean"]
