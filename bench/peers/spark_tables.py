"""Tables of peers that write through Spark."""

from pyspark.sql.connect.session import SparkSession

from bench.peers.peer import Loaded
from bench.workloads import DDL


def create(spark: SparkSession, table: str) -> None:
    spark.sql(f"CREATE TABLE {table} ({DDL}) USING iceberg").collect()


def drop(spark: SparkSession, table: str) -> None:
    """With its data, if it is there."""
    spark.sql(f"DROP TABLE IF EXISTS {table} PURGE").collect()


def look(spark: SparkSession, table: str) -> Loaded:
    """Snapshots are those of the table's history. Beside them there may be staged ones, from which some of these were
    picked, until they expire."""
    return Loaded(
        rows=spark.table(table).count(),
        snapshots=spark.table(f"{table}.history").where("is_current_ancestor").count(),
        data_files=spark.table(f"{table}.files").count(),
    )
