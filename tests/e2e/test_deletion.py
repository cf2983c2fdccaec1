"""Ingestions that are deleted, in the middle of a run and with their tables: nothing comes after the end."""

import asyncio
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    JsonFile,
    NewIngestion,
    create_standard_ingestion,
    get_run,
    get_table_identifier,
    run_to_end,
    trigger_run,
    upload_json_files,
    verify_table_data,
)
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

FILES = 30
RECORDS = 20


class TestDeletion:
    async def test_a_run_that_is_under_way_adds_nothing_after_the_deletion(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        minio_config: dict[str, str],
        test_bucket: str,
        spark_session: SparkSession,
        test_cluster_id: str,
        new_ingestion: NewIngestion,
    ) -> None:
        """Thirty batches of one file; somebody deletes the ingestion when some of them are loaded.

        Success criteria:
        - the ingestion is gone as soon as what was under way is burned
        - the table stays, with whole files in it, and does not grow any more: not even by one that is loaded elsewhere
          into the same table
        """
        await upload_json_files(minio_client, test_bucket, 0, FILES, records_per_file=RECORDS)
        ingestion = await new_ingestion("deleted", source={"max_files_per_trigger": 1})
        path, table = f"/api/v1/ingestions/{ingestion['id']}", get_table_identifier(ingestion)
        run_id = await trigger_run(api_client, ingestion["id"])
        while (await get_run(api_client, ingestion["id"], run_id))["metrics"]["files_processed"] < 2:
            pass

        async def is_gone() -> bool:
            answer = await api_client.delete(path)
            assert answer.status_code in (202, 204, 404), problem_of(answer)
            return answer.status_code in (204, 404)

        await eventually(is_gone, 60, what="the ingestion is deleted")

        assert (await api_client.get(path)).status_code == 404
        rows = await self.count(spark_session, table)
        assert 2 * RECORDS <= rows < FILES * RECORDS
        assert rows % RECORDS == 0
        other = await create_standard_ingestion(
            api_client,
            test_cluster_id,
            test_bucket,
            minio_config,
            ingestion["destination"]["table"],
            source={"file_pattern": "batch_0.json"},
        )
        await run_to_end(api_client, other["id"])  # whatever was on its way has had time to come
        assert rows + RECORDS == await self.count(spark_session, table)

    async def test_a_table_that_was_dropped_can_be_taken_back(
        self,
        api_client: httpx.AsyncClient,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """The ingestion goes, and its table with it; then somebody wants the rows after all.

        Success criteria:
        - no table stands under the old name, and the answer says where it is, and how it comes back
        - what the answer says works: every row is there
        """
        records = sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("dropped")
        table = get_table_identifier(ingestion)
        await run_to_end(api_client, ingestion["id"])

        answer = await api_client.delete(f"/api/v1/ingestions/{ingestion['id']}", params={"table": "drop"})

        assert answer.status_code == 202, problem_of(answer)
        told = answer.json()
        assert [("table_dropped", "success"), ("ingestion_deleted", "success")] == [
            (operation["operation"], operation["status"]) for operation in told["operations"]
        ]
        assert not await asyncio.to_thread(spark_session.catalog.tableExists, table)
        kept = told["operations"][0]["details"].removeprefix("kept as ")
        await verify_table_data(spark_session, kept, records)
        [way_back] = [note.partition(": ")[2] for note in told["notes"] if "ALTER TABLE" in note]
        spark_session.sql(way_back).collect()
        await verify_table_data(spark_session, table, records)

    async def count(self, spark_session: SparkSession, table: str) -> int:
        return int(await asyncio.to_thread(spark_session.table(table).count))
