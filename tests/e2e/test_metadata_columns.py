"""Rows that say which file they came from, for those who ask for it: from the first row on, or from today on."""

import asyncio
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    JsonFile,
    NewIngestion,
    get_table_identifier,
    run_to_end,
    upload_json_files,
    verify_table_data,
)
from tests.e2e.records import BASE_FIELDS

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


async def rows_per_file(spark: SparkSession, table: str) -> dict[str | None, int]:
    rows = await asyncio.to_thread(spark.sql(f"SELECT _file_path, count(*) FROM {table} GROUP BY 1").collect)
    return {row[0]: row[1] for row in rows}


async def test_each_row_of_a_new_table_names_its_file(
    api_client: httpx.AsyncClient,
    sample_json_files: list[JsonFile],
    spark_session: SparkSession,
    new_ingestion: NewIngestion,
) -> None:
    """And the run that loaded it, and when."""
    ingestion = await new_ingestion(
        "metadata", destination={"metadata_columns": ["_file_path", "_file_version", "_loaded_at", "_run_id"]}
    )
    table = get_table_identifier(ingestion)
    run = await run_to_end(api_client, ingestion["id"])
    assert run["status"] == "success"
    assert {file["path"]: file["records"] for file in sample_json_files} == await rows_per_file(spark_session, table)
    rows = await asyncio.to_thread(
        spark_session.sql(
            f"SELECT DISTINCT _run_id, _loaded_at IS NOT NULL, _file_version LIKE '%:%' FROM {table}"
        ).collect
    )
    assert [(run["id"], True, True)] == [tuple(row) for row in rows]


async def test_switched_on_later_they_begin_with_the_next_file(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    test_bucket: str,
    sample_json_files: list[JsonFile],
    spark_session: SparkSession,
    new_ingestion: NewIngestion,
) -> None:
    """Old rows stay as they are."""
    ingestion = await new_ingestion("metadata_later")
    table = get_table_identifier(ingestion)
    records = sum(file["records"] for file in sample_json_files)
    assert (await run_to_end(api_client, ingestion["id"]))["status"] == "success"
    await verify_table_data(spark_session, table, records, BASE_FIELDS, unexpected_fields=["_file_path"])

    changed = await api_client.patch(
        f"/api/v1/ingestions/{ingestion['id']}", json={"destination": {"metadata_columns": ["_file_path"]}}
    )
    assert changed.status_code == 200
    [new] = await upload_json_files(minio_client, test_bucket, len(sample_json_files), 1, 1000)
    assert (await run_to_end(api_client, ingestion["id"]))["status"] == "success"
    assert {None: records, new["path"]: new["records"]} == await rows_per_file(spark_session, table)
