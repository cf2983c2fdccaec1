"""A script of twenty lines: read all files into memory with polars or pyarrow, append them with PyIceberg.

Its catalog is a file of SQLite, the quickest there is. It remembers nothing: a second call loads everything again.
"""

import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.json
from pyarrow import fs
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from bench.peers.peer import Loaded
from bench.stack import REGION, S3_KEY, S3_SECRET, S3_URL
from bench.workloads import COLUMNS, Workload

_ARROW = {"BIGINT": pa.int64(), "STRING": pa.string(), "DOUBLE": pa.float64()}
SCHEMA = pa.schema([(name, _ARROW[type_]) for name, type_ in COLUMNS.items()])


class _Script(ABC):
    """What both do with what they read."""

    table: Table

    @abstractmethod
    def read(self, work: Workload) -> pa.Table:
        """All rows of all files."""

    def prepare(self, work: Workload) -> None:
        catalog = SqlCatalog(
            "bench",
            **{
                "uri": f"sqlite:///{os.environ['BENCH_FOLDER']}/catalog.db",
                "warehouse": f"s3://{work.bucket}/warehouse",
                "s3.endpoint": S3_URL,
                "s3.access-key-id": S3_KEY,
                "s3.secret-access-key": S3_SECRET,
                "s3.region": REGION,
            },
        )
        catalog.create_namespace("bench")
        self.table = catalog.create_table("bench.events", SCHEMA)

    def load(self, work: Workload) -> None:
        self.table.append(self.read(work))

    def loaded(self) -> Loaded:
        return Loaded(
            rows=self.table.scan().count(),
            snapshots=len(self.table.metadata.snapshots),
            data_files=len(self.table.inspect.files()),
        )

    def clean(self) -> None:  # noqa: B027  # nothing is to be done
        """All of it lies in the folder and the bucket that go away."""


class Polars(_Script):
    def read(self, work: Workload) -> pa.Table:
        import polars as pl

        types = {"BIGINT": pl.Int64, "STRING": pl.String, "DOUBLE": pl.Float64}
        frame = pl.scan_ndjson(
            f"s3://{work.source}*.json",
            schema={name: types[type_] for name, type_ in COLUMNS.items()},
            storage_options={
                "aws_endpoint_url": S3_URL,
                "aws_access_key_id": S3_KEY,
                "aws_secret_access_key": S3_SECRET,
                "aws_region": REGION,
                "aws_allow_http": "true",
            },
        )
        return frame.collect().to_arrow().cast(SCHEMA)


class PyArrow(_Script):
    def read(self, work: Workload) -> pa.Table:
        store = fs.S3FileSystem(endpoint_override=S3_URL, access_key=S3_KEY, secret_key=S3_SECRET, region=REGION)
        found = store.get_file_info(fs.FileSelector(work.source.rstrip("/")))
        options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA)

        def one(path: str) -> pa.Table:
            with store.open_input_stream(path) as stream:
                return pyarrow.json.read_json(stream, parse_options=options)

        with ThreadPoolExecutor(4) as threads:
            return pa.concat_tables(threads.map(one, [info.path for info in found]))
