"""A refresh that somebody regrets: the table from before it comes back."""

from typing import Any

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
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


class TestUndo:
    async def test_the_old_table_comes_back_and_the_next_run_loads_what_it_lacks(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """A table of three files is refreshed when two more have landed. Somebody undoes it.

        Success criteria:
        - the table has the old rows again, and no others; the newer table can be read under another name
        - a second undo is refused
        - the next run loads the two files that the old table lacks, and nothing twice
        """
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("undone")
        path, table = f"/api/v1/ingestions/{ingestion['id']}/refresh", get_table_identifier(ingestion)
        await run_to_end(api_client, ingestion["id"])
        new = await upload_json_files(minio_client, test_bucket, files, 2, sample_json_files[0]["records"])
        all_records = records + sum(file["records"] for file in new)
        refresh = (await api_client.post(f"{path}/full", json={"confirm": True})).json()
        await wait_for_run_completion(api_client, ingestion["id"], refresh["run_id"], poll_interval=0.2)
        await verify_table_data(spark_session, table, all_records)

        answer = await api_client.post(f"{path}/{refresh['refresh_id']}/undo")

        assert answer.status_code == 202, problem_of(answer)
        undone = answer.json()
        assert [("table_dropped", "success"), ("table_restored", "success")] == [
            (operation["operation"], operation["status"]) for operation in undone["operations"]
        ]
        assert (2, files) == (undone["impact"]["files_to_process"], undone["impact"]["files_skipped"])
        back = await verify_table_data(spark_session, table, records)
        assert (0, records - 1) == tuple(back.selectExpr("min(id)", "max(id)").collect()[0])
        replaced = undone["operations"][0]["details"].removeprefix("kept as ")
        await verify_table_data(spark_session, replaced, all_records)
        again = await api_client.post(f"{path}/{refresh['refresh_id']}/undo")
        assert (409, "undone_already") == (again.status_code, again.json()["code"])

        run = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(run, expected_files=2, expected_records=all_records - records)
        assert run["metrics"]["files_skipped"] == files
        await verify_table_data(spark_session, table, all_records)
        held = refresh["operations"][0]["details"].removeprefix("kept as ")
        for name in (replaced, held):
            spark_session.sql(f"DROP TABLE {name} PURGE").collect()

    async def test_an_old_table_that_was_dropped_is_registered_again(
        self,
        api_client: httpx.AsyncClient,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Somebody tidied the catalog up, and dropped the old table, though not its files.

        Success criteria:
        - the undo fails, changes nothing, and says what to do
        - what it says works: the second undo brings every row back
        """
        records = sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("tidied")
        path, table = f"/api/v1/ingestions/{ingestion['id']}/refresh", get_table_identifier(ingestion)
        await run_to_end(api_client, ingestion["id"])
        refresh = (await api_client.post(f"{path}/full", json={"confirm": True, "auto_run": False})).json()
        kept = refresh["operations"][0]["details"].removeprefix("kept as ")
        spark_session.sql(f"DROP TABLE {kept}").collect()

        failed = (await api_client.post(f"{path}/{refresh['refresh_id']}/undo")).json()

        assert "partial_failure" == failed["status"]
        assert [("table_dropped", "failed"), ("table_restored", "skipped")] == [
            (operation["operation"], operation["status"]) for operation in failed["operations"]
        ]
        assert "kept_table_gone" == failed["operations"][0]["error_code"]
        await verify_table_data(spark_session, table, 0)
        spark_session.sql(failed["operations"][0]["details"].partition(": ")[2].partition(";")[0]).collect()
        undone = (await api_client.post(f"{path}/{refresh['refresh_id']}/undo")).json()
        assert ["success", "success"] == [operation["status"] for operation in undone["operations"]]
        await verify_table_data(spark_session, table, records)
        replaced = undone["operations"][0]["details"].removeprefix("kept as ")
        for name in (replaced, kept):
            spark_session.sql(f"DROP TABLE {name} PURGE").collect()
