"""A table that begins anew: with all files, with the new ones only, or in thought."""

from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    E2ELogger,
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

FULL = ["table_dropped", "processed_files_cleared", "run_triggered"]


async def _refresh(api_client: httpx.AsyncClient, ingestion_id: str, mode: str, **more: Any) -> dict[str, Any]:
    body = {"confirm": True, "auto_run": True, **more}
    answer = await api_client.post(f"/api/v1/ingestions/{ingestion_id}/refresh/{mode}", json=body)
    assert answer.status_code == 202, f"{mode} refresh should be accepted: {answer.status_code} {answer.text}"
    answered: dict[str, Any] = answer.json()
    return answered


def _outcomes(refresh: dict[str, Any]) -> list[tuple[str, str]]:
    return [(operation["operation"], operation["status"]) for operation in refresh["operations"]]


class TestRefreshWorkflows:
    """One ingestion of the sample files that has run once."""

    @pytest.fixture
    async def loaded(
        self, api_client: httpx.AsyncClient, sample_json_files: list[JsonFile], new_ingestion: NewIngestion
    ) -> dict[str, Any]:
        ingestion = await new_ingestion("refresh")
        await run_to_end(api_client, ingestion["id"])
        return ingestion

    async def test_full_refresh(
        self,
        api_client: httpx.AsyncClient,
        loaded: dict[str, Any],
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
    ) -> None:
        """Everything is loaded again.

        Success criteria:
        - three operations, all done
        - a run that loads all files again
        - the table has every row once, and the old table can still be read under the name that the answer gives
        """
        logger = E2ELogger()
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        refresh = await _refresh(api_client, loaded["id"], "full")
        assert ("accepted", "full") == (refresh["status"], refresh["mode"])
        assert [(name, "success") for name in FULL] == _outcomes(refresh)
        assert (files, 0) == (refresh["impact"]["files_to_process"], refresh["impact"]["files_skipped"])
        run = await wait_for_run_completion(api_client, loaded["id"], refresh["run_id"], poll_interval=0.2)
        assert "refresh" == run["trigger"]
        assert_run_metrics(run, files, records, logger=logger)
        table = await verify_table_data(spark_session, get_table_identifier(loaded), records, logger=logger)
        assert (0, records - 1) == tuple(table.selectExpr("min(id)", "max(id)").collect()[0])
        kept = refresh["operations"][0]["details"].removeprefix("kept as ")
        await verify_table_data(spark_session, kept, records, logger=logger)
        spark_session.sql(f"DROP TABLE {kept} PURGE").collect()

    async def test_new_only_refresh(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        loaded: dict[str, Any],
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
    ) -> None:
        """Only what was never loaded is loaded.

        Success criteria:
        - two operations: the history is kept
        - the impact counts 2 files to process and the old ones as skipped
        - the table has the rows of the new files only
        """
        logger = E2ELogger()
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        new = await upload_json_files(minio_client, test_bucket, files, 2, sample_json_files[0]["records"])
        new_records = sum(file["records"] for file in new)
        refresh = await _refresh(api_client, loaded["id"], "new-only")
        assert [("table_dropped", "success"), ("run_triggered", "success")] == _outcomes(refresh)
        assert (2, files) == (refresh["impact"]["files_to_process"], refresh["impact"]["files_skipped"])
        run = await wait_for_run_completion(api_client, loaded["id"], refresh["run_id"], poll_interval=0.2)
        assert_run_metrics(run, expected_files=2, expected_records=new_records, logger=logger)
        table = await verify_table_data(spark_session, get_table_identifier(loaded), new_records, logger=logger)
        assert (records, records + new_records - 1) == tuple(table.selectExpr("min(id)", "max(id)").collect()[0])
        kept = refresh["operations"][0]["details"].removeprefix("kept as ")
        spark_session.sql(f"DROP TABLE {kept} PURGE").collect()

    async def test_dry_run(
        self,
        api_client: httpx.AsyncClient,
        loaded: dict[str, Any],
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
    ) -> None:
        """Says what would happen, and changes nothing.

        Success criteria:
        - no operation, no run; three operations foretold, and how to go on, with the ingestion's id
        - the history is still one run, and the table is as it was
        """
        records = sum(file["records"] for file in sample_json_files)
        refresh = await _refresh(api_client, loaded["id"], "full", dry_run=True)
        assert ("dry_run", [], None) == (refresh["status"], refresh["operations"], refresh["run_id"])
        assert FULL == [operation["operation"] for operation in refresh["would_perform"]]
        assert loaded["id"] in refresh["next_steps"]["to_proceed"]
        assert refresh["next_steps"]["to_cancel"]
        assert 1 == len((await api_client.get(f"/api/v1/ingestions/{loaded['id']}/runs")).json())
        await verify_table_data(spark_session, get_table_identifier(loaded), records)
