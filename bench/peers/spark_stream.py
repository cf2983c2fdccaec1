"""Structured Streaming with ``availableNow``: what is new since the last time. A checkpoint in the bucket remembers."""

import json
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

from pyspark.sql.connect.session import SparkSession

from bench.peers.ours_known import new_files
from bench.peers.peer import GivenUp, Loaded
from bench.peers.spark_tables import create, drop, look
from bench.stack import table_of
from bench.workloads import DDL, Workload


class Stream:
    """A new checkpoint and a new table for each load. ``load`` again takes what is new."""

    def __init__(self, spark: SparkSession, *, limit_s: float) -> None:
        self._spark = spark
        self._limit_s = limit_s
        self._table = ""
        self._checkpoint = ""

    def prepare(self, work: Workload) -> None:
        name = f"bench_stream_{uuid4().hex[:8]}"
        self._table = table_of(name)
        self._checkpoint = f"s3a://{work.bucket}/checkpoints/{name}"
        create(self._spark, self._table)

    def load(self, work: Workload) -> None:
        files = self._spark.readStream.schema(DDL).option("recursiveFileLookup", "true").json(f"s3a://{work.source}")
        writer = files.writeStream.format("iceberg").option("checkpointLocation", self._checkpoint)
        query = writer.trigger(availableNow=True).toTable(self._table)
        if not query.awaitTermination(int(self._limit_s)):
            query.stop()
            raise GivenUp(f"it streams still after {self._limit_s:.0f} s")

    def loaded(self) -> Loaded:
        return look(self._spark, self._table)

    def clean(self) -> None:
        """The checkpoint goes with the bucket."""
        drop(self._spark, self._table)


class StreamKnown(Stream):
    """A stream that has seen all files of a workload, and ``new`` others, which are gone again afterwards.

    One per stack: ``prime`` once, before the files are put, then as every peer.
    """

    def __init__(self, spark: SparkSession, s3: Any, *, limit_s: float) -> None:
        super().__init__(spark, limit_s=limit_s)
        self._s3 = s3
        self._files = ExitStack()
        self._rows_before = 0
        self.new = 0

    def prime(self, work: Workload) -> None:
        """Streams what is there, and writes the other files into the log of what it has seen, in that log's form."""
        super().prepare(work)
        super().load(work)
        key = f"{self._checkpoint.removeprefix(f's3a://{work.bucket}/')}/sources/0/0"
        version, first, *_ = self._s3.get_object(Bucket=work.bucket, Key=key)["Body"].read().decode().splitlines()
        like = json.loads(first)
        seen = (json.dumps(like | {"path": f"s3a://{work.bucket}/{name}"}) for name in work.names())
        self._s3.put_object(Bucket=work.bucket, Key=key, Body="\n".join([version, *seen]).encode())

    def prepare(self, work: Workload) -> None:
        self._files.enter_context(new_files(self._s3, work, self.new))
        self._rows_before = look(self._spark, self._table).rows

    def loaded(self) -> Loaded:
        return Loaded(look(self._spark, self._table).rows - self._rows_before)

    def clean(self) -> None:
        self._files.close()

    def end(self) -> None:
        super().clean()
