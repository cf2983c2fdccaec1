"""The reason to have Autoloader at all: a run loads what is new, and nothing twice."""

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
    upload_json_files,
    verify_table_data,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


class TestIncrementalLoad:
    """A folder that grows between runs."""

    async def test_incremental_load(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Each run picks up the files that came since the last one.

        Success criteria:
        - first run: all the files there are
        - second run, after 2 more files: those 2 and no other
        - third run, nothing new: succeeds with 0 files
        - the table has every row once
        """
        logger = E2ELogger()
        logger.section("Incremental load")
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("incremental")
        table = get_table_identifier(ingestion)

        logger.phase("First run: everything")
        first = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(first, files, records, logger=logger)

        logger.phase("Second run: the 2 files that came meanwhile")
        new = await upload_json_files(minio_client, test_bucket, files, 2, sample_json_files[0]["records"])
        new_records = sum(file["records"] for file in new)
        second = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(second, expected_files=2, expected_records=new_records, logger=logger)
        assert second["metrics"]["files_skipped"] == files, "What was loaded before is seen and skipped"

        logger.phase("Third run: nothing to do")
        third = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(third, expected_files=0, expected_records=0, logger=logger)

        logger.phase("The table has every row once")
        await verify_table_data(spark_session, table, records + new_records, logger=logger)

        history = (await api_client.get(f"/api/v1/ingestions/{ingestion['id']}/runs")).json()
        assert [run["id"] for run in history] == [third["id"], second["id"], first["id"]], "Newest first"

        print_test_summary([("Table", table), ("Files", f"{files} + 2 + 0"), ("Rows", records + new_records)])
