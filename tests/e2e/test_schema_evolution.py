"""Producers add fields without asking. The table follows, in the same run, and old rows stay as they were."""

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
    upload_json_files,
    verify_schema_evolution,
    verify_table_data,
)
from tests.e2e.records import BASE_FIELDS, EVOLVED_FIELDS, record

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


class TestSchemaEvolution:
    """Files with 5 fields, then files with 7."""

    async def test_schema_evolution(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """New fields become columns; nobody has to intervene.

        Success criteria:
        - first run: 5 columns
        - second run, over files with 2 more fields: succeeds, loads only them, 7 columns, a newer schema version
        - rows from before have NULL in the new columns, rows from after have values
        - the nested field is a struct that can be read by path
        """
        logger = E2ELogger()
        logger.section("Schema evolution")
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("evolution")
        table = get_table_identifier(ingestion)

        logger.phase("Files with 5 fields")
        first = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(first, files, records, logger=logger)
        await verify_table_data(
            spark_session, table, records, BASE_FIELDS, unexpected_fields=("region", "metadata"), logger=logger
        )

        logger.phase("Files with 7 fields")
        per_file = sample_json_files[0]["records"]
        new = await upload_json_files(minio_client, test_bucket, files, 2, per_file, schema_type="evolved")
        new_records = sum(file["records"] for file in new)
        second = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(second, expected_files=2, expected_records=new_records, logger=logger)
        assert second["schema_version"] > first["schema_version"], "Every change of the schema is a version"

        logger.phase("One table, both kinds of rows")
        frame = await verify_table_data(spark_session, table, records + new_records, EVOLVED_FIELDS, logger=logger)
        assert len(frame.columns) == len(EVOLVED_FIELDS)
        await verify_schema_evolution(
            spark_session,
            table,
            old_record_filter=f"id < {files * per_file}",
            new_record_filter=f"id >= {files * per_file}",
            old_count=records,
            new_count=new_records,
            new_fields=("region", "metadata"),
            logger=logger,
        )

        logger.phase("The nested field is a struct")
        one = files * per_file + 7
        [row] = await asyncio.to_thread(
            lambda: frame.where(f"id = {one}").select("region", "metadata.browser", "metadata.version").collect()
        )
        written = record(one, "evolved")
        assert row["region"] == written["region"]
        assert row["browser"] == written["metadata"]["browser"]
        assert row["version"] == written["metadata"]["version"]

        print_test_summary([("Table", table), ("Columns", "5, then 7"), ("Rows", records + new_records)])
