"""A user says what columns are, and what may become of them: hints, given columns, and what is done with the rest."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    E2ELogger,
    NewIngestion,
    create_standard_ingestion,
    generate_unique_table_name,
    get_table_identifier,
    put,
    run_to_end,
    standard_definition,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


@pytest.fixture
def upload(minio_client: Any, test_bucket: str) -> Any:
    """Puts records under a name, one a line; returns the file's address."""

    async def land(name: str, *records: dict[str, Any]) -> str:
        body = "".join(json.dumps(record) + "\n" for record in records).encode()
        key = f"data/{name}.json"
        await put(minio_client, test_bucket, key, body)
        return f"s3://{test_bucket}/{key}"

    return land


async def rows(spark: SparkSession, table: str, *columns: str) -> list[tuple[Any, ...]]:
    await asyncio.to_thread(lambda: spark.sql(f"REFRESH TABLE {table}").collect())
    found = await asyncio.to_thread(
        lambda: spark.sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id").collect()
    )
    return [tuple(row) for row in found]


async def types(spark: SparkSession, table: str) -> dict[str, str]:
    await asyncio.to_thread(lambda: spark.sql(f"REFRESH TABLE {table}").collect())
    return dict(await asyncio.to_thread(lambda: spark.table(table).dtypes))


class TestSchemaRules:
    """What a definition may say in ``format.schema``."""

    async def test_hints_and_wider_types(
        self, api_client: httpx.AsyncClient, upload: Any, spark_session: SparkSession, new_ingestion: NewIngestion
    ) -> None:
        """Columns have the types that somebody said, and an int column becomes a bigint when a value asks for it.

        Success criteria:
        - the first table has the hints' types, also for a field that no file has yet
        - a value that is too large for its int column widens it, in the run that meets it
        - the history of the columns says which file and which value asked for it
        - with fail_on_new_columns, a file with a new field is named and the one beside it loads
        """
        logger = E2ELogger()
        hints = {"n": "int", "price": "decimal(10,2)", "at": "timestamp", "tags": "map<string,string>"}
        rules = {"hints": hints, "schema_evolution_mode": "add_new_columns_with_type_widening"}
        ingestion = await new_ingestion("hints", format={"schema": rules})
        table, path = get_table_identifier(ingestion), f"/api/v1/ingestions/{ingestion['id']}"
        assert hints == ingestion["format"]["schema"]["hints"]

        logger.phase("Types as they were said")
        await upload("first", {"id": 1, "n": 1, "price": 2.5, "tags": {"a": "x", "b": "y"}})
        await run_to_end(api_client, ingestion["id"])
        said = {"id": "bigint", **hints}
        assert said == await types(spark_session, table)

        logger.phase("A value too large for an int")
        second = await upload("second", {"id": 2, "n": 2**40, "at": "2025-01-07T12:00:00Z"})
        await run_to_end(api_client, ingestion["id"])
        assert {**said, "n": "bigint"} == await types(spark_session, table)
        assert [(1, 1), (2, 2**40)] == await rows(spark_session, table, "id", "n")

        logger.phase("Why that is")
        shown = (await api_client.get(f"{path}/schema")).json()
        assert 2 == shown["version"]
        assert {**said, "n": "bigint"}.keys() == {column["name"] for column in shown["columns"]}
        newest, first = (await api_client.get(f"{path}/schema/versions")).json()
        assert [("changed", "n", "int", "bigint", second, str(2**40))] == [
            tuple(change[name] for name in ("kind", "column", "before", "type", "file", "example"))
            for change in newest["changes"]
        ]
        assert "add_new_columns_with_type_widening" == newest["mode"]
        assert first == (await api_client.get(f"{path}/schema/versions/1")).json()

        logger.phase("No new columns from now on")
        rules = {"schema_evolution_mode": "fail_on_new_columns", "hints": {"n": "bigint"}}
        changed = await api_client.patch(path, json={"format": {"schema": rules}})
        assert 200 == changed.status_code, changed.text
        refused = await upload("refused", {"id": 3, "more": 1})
        await upload("third", {"id": 4})
        run = await run_to_end(api_client, ingestion["id"], expected_status="partial")
        assert [(refused, "new_columns")] == [(e["file"], e["error_type"]) for e in run["errors"]]
        assert [1, 2, 4] == [id_ for (id_,) in await rows(spark_session, table, "id")]

    async def test_rescued_data(
        self,
        api_client: httpx.AsyncClient,
        minio_config: dict[str, str],
        test_bucket: str,
        upload: Any,
        spark_session: SparkSession,
        test_cluster_id: str,
    ) -> None:
        """Columns are given and stay; whatever does not fit into them is kept beside them.

        Success criteria:
        - the table has exactly the given columns, and the one for what is rescued
        - a new field and a value of another type are in it as JSON, with the file; the run is a success
        - a mode that contradicts evolution_enabled is refused when it is sent
        """
        name = generate_unique_table_name("rescue")
        rules = {"inference": "manual", "schema_json": "id bigint, n int", "schema_evolution_mode": "rescue"}
        ingestion = await create_standard_ingestion(
            api_client, test_cluster_id, test_bucket, minio_config, name, format={"schema": rules}
        )
        table = get_table_identifier(ingestion)
        await upload("good", {"id": 1, "n": 1})
        odd = await upload("odd", {"id": 2, "n": "two", "meta": {"browser": "x"}})
        run = await run_to_end(api_client, ingestion["id"])
        assert ("success", 2) == (run["status"], run["metrics"]["records_ingested"])
        assert {"id": "bigint", "n": "int", "_rescued_data": "string"} == await types(spark_session, table)
        good, rescued = await rows(spark_session, table, "id", "n", "_rescued_data")
        assert (1, 1, None) == good
        assert (2, None) == rescued[:2]
        assert {"n": "two", "meta": {"browser": "x"}, "_file_path": odd} == json.loads(rescued[2])

        contradiction = {"format": {"schema": {"evolution_enabled": False, "schema_evolution_mode": "add_new_columns"}}}
        body = standard_definition(test_cluster_id, test_bucket, minio_config, name, overrides=contradiction)
        answer = await api_client.post("/api/v1/ingestions", json=body)
        assert 422 == answer.status_code
        assert "contradicts evolution_enabled false" in answer.text

    async def test_somebody_decides_about_columns(
        self, api_client: httpx.AsyncClient, upload: Any, spark_session: SparkSession, new_ingestion: NewIngestion
    ) -> None:
        """New columns wait for a word; and what somebody regrets is not filled any more.

        Success criteria:
        - files with new fields wait, with a value to look at; the one beside them is loaded
        - approved fields become columns and rejected ones do not; the next run loads the files
        - after a rollback the later column keeps what it has, and new rows have a null there
        """
        ingestion = await new_ingestion("held", format={"schema": {"hold_new_columns": True}})
        table, path = get_table_identifier(ingestion), f"/api/v1/ingestions/{ingestion['id']}/schema"
        await upload("first", {"id": 1})
        await run_to_end(api_client, ingestion["id"])

        good = await upload("good", {"id": 2, "region": "emea"})
        bad = await upload("bad", {"id": 3, "debug": True})
        await upload("plain", {"id": 4})
        run = await run_to_end(api_client, ingestion["id"], expected_status="partial")
        assert {(good, "new_columns_held"), (bad, "new_columns_held")} == {
            (error["file"], error["error_type"]) for error in run["errors"]
        }
        held = {column["column"]: column for column in (await api_client.get(path)).json()["held"]}
        assert ("string", good, '"emea"') == tuple(held["region"][name] for name in ("type", "file", "example"))

        assert 200 == (await api_client.post(f"{path}/approve", json={"columns": ["region"]})).status_code
        left = (await api_client.post(f"{path}/reject", json={})).json()
        assert ([], ["debug"]) == (left["held"], left["rejected"])
        await run_to_end(api_client, ingestion["id"])
        assert {"id": "bigint", "region": "string"} == await types(spark_session, table)
        loaded = [(1, None), (2, "emea"), (3, None), (4, None)]
        assert loaded == await rows(spark_session, table, "id", "region")

        back = (await api_client.post(f"{path}/rollback", json={"version": 1})).json()
        assert ["debug", "region"] == back["rejected"]
        await upload("later", {"id": 5, "region": "apac"})
        await run_to_end(api_client, ingestion["id"])
        assert [*loaded, (5, None)] == await rows(spark_session, table, "id", "region")
