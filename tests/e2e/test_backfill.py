"""The history, loaded part by part, beside what is new."""

import time
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
    run_to_end,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS = 20


async def backfill(api_client: httpx.AsyncClient, ingestion_id: str, **part: Any) -> str:
    return str((await post(api_client, f"{ingestion_id}/backfill", 202, part))["run_id"])


async def the_next_second() -> None:
    """What was written before is older than what happens from now on: age counts in whole seconds."""
    began = int(time.time())
    await eventually(lambda: int(time.time()) > began, 3, what="the second is over")


class TestBackfill:
    async def test_what_is_old_is_loaded_part_by_part(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """Four files are there before the ingestion, which wants new ones only. One lands afterwards.

        Success criteria:
        - a run loads the new file, and a file's explanation says how the old ones are loaded
        - backfills by manifest, by prefix with a cap, and of everything load each old file once
        - the run says what it was asked to read
        """
        old = await upload_json_files(minio_client, test_bucket, 0, 4, records_per_file=RECORDS)
        await the_next_second()
        ingestion = await new_ingestion("backfilled", source={"include_existing_files": False})
        table, ingestion_id = get_table_identifier(ingestion), ingestion["id"]
        await upload_json_files(minio_client, test_bucket, 4, 1, records_per_file=RECORDS)
        assert_run_metrics(await run_to_end(api_client, ingestion_id), expected_files=1, expected_records=RECORDS)

        explained = await api_client.get(
            f"/api/v1/ingestions/{ingestion_id}/files/explain", params={"key": old[0]["key"]}
        )
        assert explained.json()["verdict"] == "excluded"
        assert "/backfill" in explained.json()["next_action"]

        by_key = await backfill(api_client, ingestion_id, keys=[old[0]["path"]])
        loaded = await wait_for_run_completion(api_client, ingestion_id, by_key, poll_interval=0.2)
        assert_run_metrics(loaded, expected_files=1, expected_records=RECORDS)
        assert (loaded["trigger"], loaded["scope"]["keys"]) == ("backfill", [old[0]["key"]])

        capped = await backfill(api_client, ingestion_id, prefix="data/", max_files=2)
        loaded = await wait_for_run_completion(api_client, ingestion_id, capped, poll_interval=0.2)
        assert_run_metrics(loaded, expected_files=2, expected_records=2 * RECORDS)
        assert any("ask again for the rest" in warning for warning in loaded["warnings"])

        rest = await backfill(api_client, ingestion_id)
        loaded = await wait_for_run_completion(api_client, ingestion_id, rest, poll_interval=0.2)
        assert_run_metrics(loaded, expected_files=1, expected_records=RECORDS)
        assert loaded["metrics"]["files_skipped"] == 4
        await verify_table_data(spark_session, table, expected_count=5 * RECORDS)

    async def test_what_is_new_does_not_wait_for_the_history(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """A backfill of fifteen batches is under way when a file lands.

        Success criteria:
        - a run loads the new file, and has ended before the backfill has
        - in the end every row is there once
        """
        files = 15
        await upload_json_files(minio_client, test_bucket, 0, files, records_per_file=RECORDS)
        await the_next_second()
        ingestion = await new_ingestion(
            "beside_history", source={"include_existing_files": False, "max_files_per_trigger": 1}
        )
        ingestion_id = ingestion["id"]
        history = await backfill(api_client, ingestion_id)

        async def has_begun() -> bool:
            return bool((await get_run(api_client, ingestion_id, history))["metrics"]["files_processed"])

        await eventually(has_begun, 60, what="the backfill has loaded something")
        await upload_json_files(minio_client, test_bucket, files, 1, records_per_file=RECORDS)

        fresh = await run_to_end(api_client, ingestion_id)
        assert_run_metrics(fresh, expected_files=1, expected_records=RECORDS)
        under_way = await get_run(api_client, ingestion_id, history)
        assert under_way["status"] not in FINAL_STATUSES, f"The history should still be under way: {under_way}"

        ended = await wait_for_run_completion(api_client, ingestion_id, history, poll_interval=0.5)
        assert_run_metrics(ended, expected_files=files, expected_records=files * RECORDS)
        await verify_table_data(spark_session, get_table_identifier(ingestion), expected_count=(files + 1) * RECORDS)
