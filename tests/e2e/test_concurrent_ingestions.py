"""Many at once: ingestions do not disturb each other, and runs of one ingestion share the work without doubling it."""

import asyncio
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
    print_test_summary,
    run_to_end,
    trigger_run,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)
from tests.e2e.records import BASE_FIELDS

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

INGESTIONS = 4


class TestConcurrentIngestions:
    """More than one thing at a time."""

    async def test_four_ingestions_run_at_once(
        self,
        api_client: httpx.AsyncClient,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Four teams load the same files into their own tables at the same moment.

        Success criteria:
        - all four runs succeed with all files
        - each table is complete and has no id twice
        """
        logger = E2ELogger()
        logger.section("Four ingestions at once")
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        ingestions = await asyncio.gather(
            *(new_ingestion(f"concurrent_{i}", name=f"Concurrent {i}") for i in range(INGESTIONS))
        )

        runs = await asyncio.gather(*(run_to_end(api_client, ingestion["id"]) for ingestion in ingestions))

        for ingestion, run in zip(ingestions, runs, strict=True):
            assert_run_metrics(run, files, records, logger=logger)
            await verify_table_data(spark_session, get_table_identifier(ingestion), records, BASE_FIELDS, logger=logger)
        print_test_summary([("Ingestions", INGESTIONS), ("Rows in each table", records)])

    async def test_two_runs_of_one_ingestion_load_each_file_once(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Somebody presses the button three times.

        Success criteria:
        - every request is accepted; the third joins the second, which waits for the first
        - all runs succeed, and together they load each file once
        """
        logger = E2ELogger()
        logger.section("Three requests for one ingestion")
        uploaded = await upload_json_files(minio_client, test_bucket, 0, 4, records_per_file=250, logger=logger)
        records = sum(file["records"] for file in uploaded)
        ingestion = await new_ingestion("twice")

        run_ids = await asyncio.gather(*(trigger_run(api_client, ingestion["id"]) for _ in range(3)))
        assert len(set(run_ids)) <= 2, f"At most one run waits while another is active: {run_ids}"
        runs = await asyncio.gather(
            *(
                wait_for_run_completion(api_client, ingestion["id"], run_id, poll_interval=0.2)
                for run_id in set(run_ids)
            )
        )

        loaded = [run["metrics"]["files_processed"] for run in runs]
        assert sum(loaded) == len(uploaded), f"The runs loaded {loaded} files, {len(uploaded)} had landed"
        await verify_table_data(spark_session, get_table_identifier(ingestion), records, logger=logger)
        print_test_summary([("Runs", len(runs)), ("Files by run", loaded), ("Rows", records)])
