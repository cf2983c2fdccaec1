"""The history of loaded files is cleared, and the table is not."""

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    JsonFile,
    NewIngestion,
    assert_run_metrics,
    get_table_identifier,
    run_to_end,
    verify_table_data,
)
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


class TestClearHistory:
    async def test_the_next_run_reads_every_file_again(
        self,
        api_client: httpx.AsyncClient,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Somebody empties a table with SQL, and wants its files loaded into it once more.

        Success criteria:
        - without confirm=true nothing happens; with it the answer warns of rows that are there twice
        - the table is left as it is, and an emptied one gets every row once
        - cleared once more, with the table left full, every row is there twice: that is what the warning said
        - cleared by mistake, the history comes back from the table: the next run loads nothing
        """
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("cleared")
        path, table = f"/api/v1/ingestions/{ingestion['id']}/processed-files", get_table_identifier(ingestion)
        await run_to_end(api_client, ingestion["id"])

        refused = await api_client.delete(path)
        assert refused.status_code == 422, refused.text
        assert refused.json()["detail"][0]["loc"] == ["query", "confirm"]

        await self.clear(api_client, path, table)
        await verify_table_data(spark_session, table, records)
        spark_session.sql(f"DELETE FROM {table}").collect()
        run = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(run, expected_files=files, expected_records=records)
        await verify_table_data(spark_session, table, records)

        await self.clear(api_client, path, table)
        run = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(run, expected_files=files, expected_records=records)
        await verify_table_data(spark_session, table, 2 * records, check_duplicates=False)

        await self.clear(api_client, path, table)
        await self.rebuild(api_client, f"/api/v1/ingestions/{ingestion['id']}")
        assert_run_metrics(await run_to_end(api_client, ingestion["id"]), expected_files=0, expected_records=0)

    async def rebuild(self, api_client: httpx.AsyncClient, path: str) -> None:
        asked = await api_client.post(f"{path}/rebuild-ledger", json={"confirm": True})
        assert asked.status_code == 202, problem_of(asked)

        async def is_done() -> bool:
            told = (await api_client.get(f"{path}/rebuilds/{asked.json()['rebuild_id']}")).json()
            assert told["status"] != "failed", told
            return bool(told["status"] == "done")

        await eventually(is_done, 60, what="the ledger is rebuilt")

    async def clear(self, api_client: httpx.AsyncClient, path: str, table: str) -> None:
        answer = await api_client.delete(path, params={"confirm": "true"})
        assert answer.status_code == 202, problem_of(answer)
        told = answer.json()
        assert [("processed_files_cleared", "success")] == [
            (operation["operation"], operation["status"]) for operation in told["operations"]
        ]
        assert [table in warning and "twice" in warning for warning in told["warnings"]] == [True]
