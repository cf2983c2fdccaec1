"""The promise in one sentence: describe where files land, run once, and their rows are in the table."""

from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    E2ELogger,
    JsonFile,
    NewIngestion,
    assert_run_metrics,
    get_run,
    get_table_identifier,
    print_test_summary,
    trigger_run,
    verify_table_data,
    wait_for_run_completion,
)
from tests.e2e.records import BASE_FIELDS

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


class TestBasicIngestion:
    """Somebody's first ingestion."""

    async def test_basic_ingestion(
        self,
        api_client: httpx.AsyncClient,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        test_tenant_id: str,
        test_cluster_id: str,
        spark_connect_url: str,
        new_ingestion: NewIngestion,
    ) -> None:
        """Files that have landed become rows when a run is asked for.

        Success criteria:
        - the ingestion is created as a draft, on the asked cluster, without giving its credentials back
        - the run succeeds and counts every file and every record
        - the table has exactly those rows in exactly the 5 columns of the data, no id twice
        - the run is the one entry of the ingestion's history
        """
        logger = E2ELogger()
        logger.section("Basic ingestion")
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)

        logger.phase("Create the ingestion")
        ingestion = await new_ingestion("basic")
        assert ingestion["status"] == "draft"
        assert ingestion["tenant_id"] == test_tenant_id
        assert ingestion["cluster_id"] == test_cluster_id
        assert ingestion["spark_connect_url"] == spark_connect_url
        assert "credentials" not in ingestion["source"] or not ingestion["source"]["credentials"]

        logger.phase("Run it")
        run_id = await trigger_run(api_client, ingestion["id"])
        run = await wait_for_run_completion(api_client, ingestion["id"], run_id, poll_interval=0.2, logger=logger)
        assert_run_metrics(run, expected_files=files, expected_records=records, logger=logger)
        assert run["ingestion_id"] == ingestion["id"]
        assert run["trigger"] == "manual"
        assert run["progress"]["files_discovered"] == run["progress"]["files_done"] == files
        assert run["metrics"]["bytes_read"] == sum(file["size"] for file in sample_json_files)
        assert run["snapshots"], "A run that loaded something names the snapshots it made"

        logger.phase("Read the table")
        table = get_table_identifier(ingestion)
        frame = await verify_table_data(spark_session, table, records, BASE_FIELDS, logger=logger)
        assert len(frame.columns) == len(BASE_FIELDS), f"Only the data's own columns belong there: {frame.columns}"

        logger.phase("Look into the history")
        history: list[dict[str, Any]] = (await api_client.get(f"/api/v1/ingestions/{ingestion['id']}/runs")).json()
        assert [entry["id"] for entry in history] == [run_id]
        assert history[0]["status"] == "success"
        assert await get_run(api_client, ingestion["id"], run_id) == run, "A finished run never changes"

        print_test_summary(
            [("Ingestion", ingestion["id"]), ("Run", run_id), ("Files", files), ("Records", records), ("Table", table)]
        )
