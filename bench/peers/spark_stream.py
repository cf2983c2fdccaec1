"""Structured Streaming with ``availableNow``: what is new since the last time. A checkpoint in the bucket remembers."""

from uuid import uuid4

from pyspark.sql.connect.session import SparkSession

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
