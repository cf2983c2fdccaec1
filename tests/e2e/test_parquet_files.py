"""Parquet files of two schemas go into one table; one that breaks off is named, and holds nobody up."""

import asyncio
import io
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    NewIngestion,
    get_table_identifier,
    put,
    run_to_end,
    verify_table_data,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


def parquet(ids: range, **columns: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"id": ids, **columns}), written)
    return written.getvalue()


class TestParquetFiles:
    """A folder to which an old and a new writer deliver."""

    async def test_two_schemas_and_a_broken_file(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """The old writer knows whole prices, the new one cents and a currency; a third file is half uploaded.

        Success criteria:
        - the run is partial: both good files are loaded, the broken one is named with what is wrong with it
        - the table's columns hold both: the wider type, and the new column, which is null in old rows
        """
        old = parquet(range(100), price=pa.array(range(100), pa.int32()))
        new = parquet(range(100, 150), price=[i / 4 for i in range(50)], currency=["EUR"] * 50)
        bodies = {"old.parquet": old, "new.parquet": new, "half.parquet": new[: len(new) // 2]}
        for name, body in bodies.items():
            await put(minio_client, test_bucket, f"data/{name}", body)
        ingestion = await new_ingestion(
            "parquet",
            source={"file_pattern": "*.parquet"},
            format={"type": "parquet"},
        )
        table = get_table_identifier(ingestion)

        run = await run_to_end(api_client, ingestion["id"], expected_status="partial")
        assert run["metrics"]["files_processed"] == 2
        assert run["metrics"]["records_ingested"] == 150
        [error] = run["errors"]
        assert error["file"] == f"s3://{test_bucket}/data/half.parquet"
        assert "no Parquet file, or not a whole one" in error["message"]

        await verify_table_data(spark_session, table, expected_count=150)
        rows = await asyncio.to_thread(
            lambda: (
                spark_session.table(table)
                .where("id IN (7, 101)")
                .orderBy("id")
                .select("id", "price", "currency")
                .collect()
            )
        )
        assert [tuple(row) for row in rows] == [(7, 7.0, None), (101, 0.25, "EUR")]
