"""Files as other tools write them: CSV of several shapes in one prefix, and documents of JSON."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    NewIngestion,
    get_table_identifier,
    run_to_end,
    verify_table_data,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


def csv(first: int, *columns: str) -> bytes:
    """Ten rows, from this id on, with the columns in this order."""
    values: dict[str, Callable[[int], str]] = {
        "id": str,
        "name": lambda i: f'"row ""{i}"", n\u00e9"',
        "price": lambda i: str(i / 4),
    }
    rows = (",".join(values[c](i) for c in columns) for i in range(first, first + 10))
    return ("\n".join([",".join(columns), *rows]) + "\n").encode()


async def test_csv_of_several_shapes_becomes_one_table(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    test_bucket: str,
    spark_session: SparkSession,
    new_ingestion: NewIngestion,
) -> None:
    """Plain, compressed, misnamed, with other columns in another order; a broken one is named, and loads mended."""

    def put(key: str, body: bytes) -> None:
        minio_client.put_object(Bucket=test_bucket, Key=f"data/{key}", Body=body)

    put("a.csv", csv(0, "id", "name"))
    put("b.csv.gz", gzip.compress(csv(10, "id", "name")))
    put("c.csv", gzip.compress(csv(20, "name", "id")))
    put("d.csv", csv(30, "price", "id", "name"))
    put("only_header.csv", b"id,name\n")
    ingestion = await new_ingestion(
        "csv", source={"file_pattern": "*"}, format={"type": "csv"}, quality={"on_error": "skip_file"}
    )
    run = await run_to_end(api_client, ingestion["id"])
    assert (5, 40) == (run["metrics"]["files_processed"], run["metrics"]["records_ingested"])
    table = get_table_identifier(ingestion)
    found = await verify_table_data(spark_session, table, 40, ["id", "name", "price"])
    assert [(35, 'row "35", n\u00e9', 8.75)] == [
        tuple(r) for r in found.where("id = 35").select("id", "name", "price").collect()
    ]

    put("e.csv", csv(50, "id", "name") + b"sixty,x\n")
    put("f.csv", b"id,id\n1,2\n")
    put("g.csv", csv(40, "id", "name"))
    run = await run_to_end(api_client, ingestion["id"], expected_status="partial")
    reasons = {error["file"].rsplit("/", 1)[-1]: error["message"] for error in run["errors"]}
    assert {"e.csv", "f.csv"} == set(reasons)
    assert "names 'id' twice" in reasons["f.csv"]
    put("e.csv", csv(50, "id", "name"))
    await run_to_end(api_client, ingestion["id"])
    await verify_table_data(spark_session, table, 60)


async def test_documents_of_json_become_rows(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    test_bucket: str,
    spark_session: SparkSession,
    new_ingestion: NewIngestion,
) -> None:
    """An array over many lines, and an object with a field that is new."""
    array = json.dumps([{"id": i, "tags": [str(i)]} for i in range(10)], indent=2).encode()
    minio_client.put_object(Bucket=test_bucket, Key="data/array.json", Body=array)
    minio_client.put_object(Bucket=test_bucket, Key="data/one.json", Body=b'{\n  "id": 10,\n  "more": {"x": 1}\n}')
    ingestion = await new_ingestion("documents", format={"type": "json", "options": {"multiline": True}})
    run = await run_to_end(api_client, ingestion["id"])
    assert (2, 11) == (run["metrics"]["files_processed"], run["metrics"]["records_ingested"])
    await verify_table_data(spark_session, get_table_identifier(ingestion), 11, ["id", "tags", "more"])
