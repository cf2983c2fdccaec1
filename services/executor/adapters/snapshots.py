"""Snapshots that no reader sees: how they are written, how they are found, and how what they add is read.

All of it is called in the session's thread.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from pyspark.sql import DataFrame, Row
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.readwriter import DataFrameWriterV2

from libs.common.contracts.definition import Destination
from libs.common.errors import Temporary
from libs.common.ledger.model.batches import NO_SNAPSHOT
from services.executor.adapters import iceberg_sql
from services.executor.adapters.table_session import TableSession
from services.executor.domain.snapshot_log import WAP_ID_KEPT

_WAP_ID = "spark.wap.id"
_STAGE = "autoloader.stage"
_CONSTRAINTS = "spark.sql.constraintPropagation.enabled"
_SNAPSHOT_PROPERTY = "spark.sql.iceberg.snapshot-property."


@dataclass(frozen=True, slots=True)
class StagedSnapshot:
    """``parent_id`` is what it was staged on (``NO_SNAPSHOT``: an empty table)."""

    id: int
    parent_id: int
    added_records: int


def append(rows: DataFrame, to: Destination, properties: Mapping[str, str]) -> None:
    """Appends in one snapshot with these properties, and lets readers see it."""
    _writer(rows, to, properties).append()


def stage_rows(on: TableSession, rows: DataFrame, wap_id: str, properties: Mapping[str, str]) -> StagedSnapshot:
    """Stages the rows under the wap id.

    Raises:
        Temporary: ``stage_lost``: somebody has removed the snapshot already.
    """
    stage_id = str(uuid4())
    with _set(on.spark, {_WAP_ID: wap_id}):
        append(rows, on.to, marked(properties, wap_id, stage_id))
    return _staged_by(on, stage_id)


def stage_instead(on: TableSession, rows: DataFrame, wap_id: str, properties: Mapping[str, str]) -> StagedSnapshot:
    """Stages the rows in the place of all that the table has. Raises as ``stage_rows``."""
    stage_id = str(uuid4())
    with _set(on.spark, {_WAP_ID: wap_id}):
        # By a filter, not by partitions: what replaces partitions would be merged into whatever is current.
        _writer(rows, on.to, marked(properties, wap_id, stage_id)).overwrite(F.lit(True))
    return _staged_by(on, stage_id)


def stage_statement(on: TableSession, statement: str, wap_id: str, properties: Mapping[str, str]) -> StagedSnapshot:
    """Stages what a statement changes. Raises as ``stage_rows``."""
    return stage_change(on, lambda: on.do(statement), wap_id, properties)


def stage_change(
    on: TableSession, change: Callable[[], object], wap_id: str, properties: Mapping[str, str]
) -> StagedSnapshot:
    """Stages what ``change`` does to rows: its snapshot takes its properties from the session. Raises as
    ``stage_rows``."""
    stage_id = str(uuid4())
    told = marked(properties, wap_id, stage_id)
    conf = {_WAP_ID: wap_id, **{f"{_SNAPSHOT_PROPERTY}{name}": value for name, value in told.items()}}
    with _set(on.spark, conf), _constraints(on.spark):
        change()
    return _staged_by(on, stage_id)


def marked(properties: Mapping[str, str], wap_id: str, stage_id: str) -> dict[str, str]:
    """The properties, with those by which we know a snapshot of ours. ``stage_id`` finds it."""
    return {**properties, _STAGE: stage_id, WAP_ID_KEPT: wap_id}


def added_by(on: TableSession, snapshot_id: int) -> DataFrame:
    """The rows that a staged snapshot adds to its parent."""
    on.refresh()
    parent_id, name = parent_of(on, snapshot_id), on.to.identifier
    if parent_id == NO_SNAPSHOT:
        return on.spark.read.option("versionAsOf", snapshot_id).table(name)
    since = on.spark.read.option("start-snapshot-id", parent_id).option("end-snapshot-id", snapshot_id)
    return since.table(name)


def parent_of(on: TableSession, snapshot_id: int) -> int:
    """The snapshot that this one was made on; ``NO_SNAPSHOT`` if it is the first."""
    [row] = on.sql(iceberg_sql.parent_of(on.to, snapshot_id))
    return id_of(row["parent_id"])


def id_of(snapshot_id: int | None) -> int:
    return NO_SNAPSHOT if snapshot_id is None else int(snapshot_id)


def _writer(rows: DataFrame, to: Destination, properties: Mapping[str, str]) -> DataFrameWriterV2:
    writer = rows.writeTo(to.identifier)
    for name, value in properties.items():
        writer = writer.option(f"snapshot-property.{name}", value)
    return writer


@contextmanager
def _set(spark: SparkSession, conf: Mapping[str, str]) -> Iterator[None]:
    try:
        for name, value in conf.items():
            spark.conf.set(name, value)
        yield
    finally:
        # A session that still has a wap id would stage whatever comes next, maintenance included.
        for name in conf:
            spark.conf.unset(name)


@contextmanager
def _constraints(spark: SparkSession) -> Iterator[None]:
    """What our sessions leave out (see ``spark_sessions``), and without which Spark finds no plan for a MERGE whose
    source reads the table itself."""
    before = str(spark.conf.get(_CONSTRAINTS, "true"))
    spark.conf.set(_CONSTRAINTS, "true")
    try:
        yield
    finally:
        spark.conf.set(_CONSTRAINTS, before)


def _staged_by(on: TableSession, stage_id: str) -> StagedSnapshot:
    # The session's catalog remembers the table as this session has left it, unless it forgot it meanwhile.
    found = _found(on, stage_id)
    if not found:
        on.refresh()
        found = _found(on, stage_id)
    if not found:
        raise Temporary(f"the staged snapshot was removed from {on.to.identifier}", code="stage_lost")
    # Spark Connect may have run the write twice (a reattach after a server restart): then there are two equal copies,
    # and either will do.
    row = found[0]
    return StagedSnapshot(int(row["snapshot_id"]), id_of(row["parent_id"]), int(row["summary"].get("added-records", 0)))


def _found(on: TableSession, stage_id: str) -> list[Row]:
    staged = on.metadata("snapshots").where(F.col("summary")[_STAGE] == stage_id)
    return staged.select("snapshot_id", "parent_id", "summary").collect()
