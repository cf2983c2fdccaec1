"""Runs and ingestions that users stop, and set going again: nothing is lost by it, and nothing is loaded twice."""

from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.answers import FINAL_STATUSES
from tests.e2e.helpers import (
    NewIngestion,
    assert_run_metrics,
    get_run,
    get_table_identifier,
    post,
    put,
    run_to_end,
    trigger_run,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)
from tests.e2e.records import ndjson, record

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

FILES = 12
RECORDS = 20
BAD_KEYS = ("data/broken_1.json", "data/broken_2.json")


class TestCancel:
    async def test_a_run_is_cancelled_in_the_middle(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """Twelve batches of one file; somebody cancels the run when some of them are loaded.

        Success criteria:
        - the run ends as cancelled, and what it says to have loaded is what the table holds
        - the next run loads exactly the rest
        - every row is there once
        """
        await upload_json_files(minio_client, test_bucket, 0, FILES, records_per_file=RECORDS)
        ingestion = await new_ingestion("cancelled", source={"max_files_per_trigger": 1})
        table = get_table_identifier(ingestion)
        run_id = await trigger_run(api_client, ingestion["id"])
        while (run := await get_run(api_client, ingestion["id"], run_id))["metrics"]["files_processed"] < 2:
            assert run["status"] not in FINAL_STATUSES, f"The run should still be under way: {run}"

        await post(api_client, f"{ingestion['id']}/runs/{run_id}/cancel", 202)
        cancelled = await wait_for_run_completion(
            api_client, ingestion["id"], run_id, poll_interval=0.2, expected_status="cancelled"
        )

        loaded = cancelled["metrics"]["files_processed"]
        assert 2 <= loaded < FILES, f"Some, but not all, were loaded before: {loaded}"
        assert cancelled["metrics"]["files_failed"] == FILES - loaded, "The others wait for the next run"
        assert "run_cancelled" in {error["error_type"] for error in cancelled["errors"]}
        await verify_table_data(spark_session, table, expected_count=loaded * RECORDS)

        rest = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(rest, expected_files=FILES - loaded, expected_records=(FILES - loaded) * RECORDS)
        await verify_table_data(spark_session, table, expected_count=FILES * RECORDS)


class TestPause:
    async def test_a_paused_ingestion_loads_nothing_until_it_is_resumed(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """Files land while the ingestion is paused.

        Success criteria:
        - a request for a run is refused, with the way out
        - after the resume one run loads what landed meanwhile
        """
        await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=RECORDS)
        ingestion = await new_ingestion("paused")
        await run_to_end(api_client, ingestion["id"])

        assert await post(api_client, f"{ingestion['id']}/pause", 200) == {"status": "paused"}
        await upload_json_files(minio_client, test_bucket, 1, 2, records_per_file=RECORDS)
        refusal = await post(api_client, f"{ingestion['id']}/run", 409)
        assert refusal["code"] == "ingestion_paused"
        assert "/resume" in refusal["hint"]

        assert await post(api_client, f"{ingestion['id']}/resume", 200) == {"status": "active"}
        run = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(run, expected_files=2, expected_records=2 * RECORDS)
        await verify_table_data(spark_session, get_table_identifier(ingestion), expected_count=3 * RECORDS)


class TestRetry:
    async def test_what_failed_is_read_again_and_nothing_else(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """Two of three files are broken. One of them is written again, and a new file lands; then the run is retried.

        Success criteria:
        - the retry loads the mended file, and fails for the other one, which it has read again
        - the new file is left to the next run
        """
        await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=RECORDS)
        for key in BAD_KEYS:
            await put(minio_client, test_bucket, key, b"this is not JSON\n")
        ingestion = await new_ingestion("retried", quality={"on_error": "skip_file"})
        failed = await run_to_end(api_client, ingestion["id"], expected_status="partial")
        await put(minio_client, test_bucket, BAD_KEYS[0], ndjson(record(900 + i) for i in range(3)))
        await upload_json_files(minio_client, test_bucket, 1, 1, records_per_file=RECORDS)

        accepted = await post(api_client, f"{ingestion['id']}/runs/{failed['id']}/retry", 202)
        retried = await wait_for_run_completion(
            api_client, ingestion["id"], accepted["run_id"], poll_interval=0.2, expected_status="partial"
        )

        assert (retried["trigger"], retried["retry_of"]) == ("retry", failed["id"])
        assert retried["metrics"]["files_processed"] == 1
        assert retried["metrics"]["records_ingested"] == 3
        assert [error["file"] for error in retried["errors"]] == [f"s3://{test_bucket}/{BAD_KEYS[1]}"]
        table = get_table_identifier(ingestion)
        await verify_table_data(spark_session, table, expected_count=RECORDS + 3)

        run = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(run, expected_files=1, expected_records=RECORDS)
        await verify_table_data(spark_session, table, expected_count=2 * RECORDS + 3)
