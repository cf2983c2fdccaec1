"""What people write by hand for Spark: read files, append them to a table. It remembers and promises nothing."""

from collections.abc import Callable
from uuid import uuid4

from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from bench.peers.peer import Loaded
from bench.peers.spark_tables import create, drop, look
from bench.stack import table_of
from bench.workloads import COLUMNS, DDL, Workload

Read = Callable[[SparkSession, Workload], DataFrame]


def folder(spark: SparkSession, work: Workload) -> DataFrame:
    """With the schema given. With the executor's settings of a session this is the floor: nothing that goes through
    Spark can do less."""
    return spark.read.schema(DDL).json(f"s3a://{work.source}")


def inferred(spark: SparkSession, work: Workload) -> DataFrame:
    """Spark reads everything once more, to find the columns."""
    return spark.read.json(f"s3a://{work.source}")


def paths(spark: SparkSession, work: Workload) -> DataFrame:
    """Every file by its name, which is what exactly once needs."""
    return spark.read.schema(DDL).json([f"s3a://{work.bucket}/{key}" for key in work.names()])


class OneAppend:
    """All files in one commit."""

    def __init__(self, spark: SparkSession, read: Read) -> None:
        self._spark = spark
        self._read = read
        self._table = ""

    def prepare(self, work: Workload) -> None:  # noqa: ARG002  # a new table is the same for all
        self._table = table_of(f"bench_spark_{uuid4().hex[:8]}")
        create(self._spark, self._table)

    def load(self, work: Workload) -> None:
        self._read(self._spark, work).select(*COLUMNS).writeTo(self._table).append()

    def loaded(self) -> Loaded:
        return look(self._spark, self._table)

    def clean(self) -> None:
        drop(self._spark, self._table)


class OneAppendPerFile(OneAppend):
    """A commit for each file: what a loop over new files does."""

    def __init__(self, spark: SparkSession) -> None:
        super().__init__(spark, paths)

    def load(self, work: Workload) -> None:
        for key in work.names():
            frame = self._spark.read.schema(DDL).json(f"s3a://{work.bucket}/{key}")
            frame.writeTo(self._table).append()
