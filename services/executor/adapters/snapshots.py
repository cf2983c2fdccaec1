"""Snapshots that no reader sees: how they are written, and how what they add is read."""

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql.connect.session import SparkSession

from libs.common.contracts.definition import Destination
from services.executor.adapters import iceberg_sql

WAP_ID = "spark.wap.id"


def append(rows: DataFrame, to: Destination, properties: Mapping[str, str]) -> None:
    """Appends in one snapshot with these properties: staged, if the session has a wap id."""
    writer = rows.writeTo(to.identifier)
    for name, value in properties.items():
        writer = writer.option(f"snapshot-property.{name}", value)
    writer.append()


def append_staged(
    spark: SparkSession, rows: DataFrame, to: Destination, wap_id: str, properties: Mapping[str, str], stage_id: str
) -> None:
    """Stages under the wap id. ``stage_id`` finds the snapshot: see ``iceberg_sql.staged_snapshot``."""
    spark.conf.set(WAP_ID, wap_id)
    try:
        append(rows, to, {**properties, "autoloader.stage": stage_id, iceberg_sql.WAP_ID_KEPT: wap_id})
    finally:
        # A session that still has a wap id would stage whatever comes next, maintenance included.
        spark.conf.unset(WAP_ID)


def added_by(spark: SparkSession, to: Destination, snapshot_id: int) -> DataFrame:
    """The rows that a staged snapshot adds to its parent. The table was read back afresh before."""
    [row] = spark.sql(iceberg_sql.parent_of(to, snapshot_id)).collect()
    if row["parent_id"] is None:
        return spark.read.option("versionAsOf", snapshot_id).table(to.identifier)
    since = spark.read.option("start-snapshot-id", row["parent_id"]).option("end-snapshot-id", snapshot_id)
    return since.table(to.identifier)
