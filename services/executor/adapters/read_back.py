"""What a table's snapshots tell: what is in its ancestry, of whom, and how many rows.

Read back afresh, whatever a statement's answer was. The functions are methods of ``ports.Table``, and are called in the
session's thread.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pyspark.sql import Row

from libs.common.errors import Temporary
from libs.common.ids import IngestionId
from libs.common.ledger.model.batches import NO_SNAPSHOT
from services.executor.adapters import iceberg_sql
from services.executor.adapters.spark_errors import is_table_missing
from services.executor.adapters.table_session import TableSession
from services.executor.domain.evidence import ROWS_REMOVED
from services.executor.domain.quarantine import ATTEMPT
from services.executor.domain.replacing import FileRows
from services.executor.domain.snapshot_log import Entry, SnapshotLog
from services.executor.domain.story import Snapshot, TableStory, tell
from services.executor.ports import History, Published

_LOOKS_MAX = 5


def published(on: TableSession, wap_id: str) -> Published | None:
    try:
        log = _log(on)
    except Exception as e:
        if is_table_missing(e):
            return None
        raise
    found = log.published(wap_id)
    if found is None:
        return None
    return Published(
        snapshot_id=found.id,
        is_burn=log.is_burn(found),
        bytes_written=int(found.marks.get("added-files-size", 0)),
        guarantee="effectively_once" if iceberg_sql.GUARANTEE in found.marks else "exactly_once",
        rows_removed=int(log.said(found, ROWS_REMOVED) or 0),
        attempt=log.said(found, ATTEMPT),
    )


def history(on: TableSession, ingestion_id: IngestionId) -> History:
    log = _log(on)
    ours = [entry for entry in log if (entry.wap_id or "").startswith(f"al1:{ingestion_id}:")]
    return History(
        current=NO_SNAPSHOT if log.current is None else log.current,
        batches=frozenset(
            str(entry.wap_id).rsplit(":", 1)[1] for entry in ours if log.is_ancestor(entry) and not log.is_burn(entry)
        ),
        beside=frozenset(entry.id for entry in ours if not log.is_ancestor(entry)),
    )


def _log(on: TableSession) -> SnapshotLog:
    """Spark looks at the table once for its snapshots and once for the current one; in between, somebody may commit."""
    for _ in range(_LOOKS_MAX):
        on.refresh()
        # One question, and no join: those of two small tables take Spark longer than to write a small batch.
        snapshots = on.metadata("snapshots").selectExpr("snapshot_id", "parent_id", f"{iceberg_sql.MARKS} AS marks")
        current = on.metadata("refs").where("name = 'main'").selectExpr("snapshot_id AS current")
        rows = snapshots.unionByName(current, allowMissingColumns=True).collect()
        log = SnapshotLog(
            (_entry(row) for row in rows if row["current"] is None),
            next((int(row["current"]) for row in rows if row["current"] is not None), None),
        )
        if not log.is_torn:
            return log
    raise Temporary(f"{on.to.identifier} changes faster than it can be read", code="table_busy")


def _entry(row: Row) -> Entry:
    parent_id = row["parent_id"]
    return Entry(int(row["snapshot_id"]), None if parent_id is None else int(parent_id), dict(row["marks"] or {}))


def remembers(on: TableSession, snapshot_id: int) -> bool:
    on.refresh()
    if snapshot_id == NO_SNAPSHOT:
        return not on.sql(iceberg_sql.cut_ancestry(on.to))
    return bool(on.sql(iceberg_sql.ancestor(on.to, snapshot_id)))


def story(on: TableSession, quarantined: Callable[[], Mapping[str, Mapping[str, int]]]) -> TableStory | None:
    """What all of the snapshots tell; None if there is no table. ``quarantined`` counts the bad records that stand
    beside it, by batch and file. Who only asks changes no property."""
    try:
        current = on.current()
    except Exception as e:
        if is_table_missing(e):
            return None
        raise
    return tell(
        map(_snapshot, on.sql(iceberg_sql.all_snapshots(on.to))),
        None if current == NO_SNAPSHOT else current,
        data_files=int(on.sql(iceberg_sql.count_data_files(on.to))[0]["files"]),
        data_files_twice=tuple(row["file_path"] for row in on.sql(iceberg_sql.data_files_twice(on.to))),
        quarantined=quarantined(),
    )


def file_rows(on: TableSession, uris: Sequence[str], snapshot_id: int | None) -> FileRows:
    if snapshot_id is not None:
        on.refresh()
        return _count(on, snapshot_id, uris, as_of=snapshot_id)
    for _ in range(_LOOKS_MAX):
        # A snapshot is read with the columns of its time, so the current one is read without its number, and is known
        # by it when nothing was committed between two looks.
        current = on.current()
        on.refresh()
        found = _count(on, current, uris)
        if current == on.current():
            return found
    raise Temporary(f"{on.to.identifier} changes faster than it can be counted", code="table_busy")


def _count(on: TableSession, snapshot_id: int, uris: Sequence[str], as_of: int | None = None) -> FileRows:
    named = on.sql(iceberg_sql.rows_of_files(on.to, uris, as_of))
    counts = {row["uri"]: int(row["row_count"]) for row in named}
    return FileRows(
        snapshot_id,
        {uri: count for uri, count in counts.items() if uri is not None},
        nameless=counts.get(None, 0),
        total=on.count(as_of),
    )


def _snapshot(row: Row) -> Snapshot:
    return Snapshot(
        id=int(row["snapshot_id"]),
        parent_id=None if row["parent_id"] is None else int(row["parent_id"]),
        committed_at=datetime.fromtimestamp(row["committed_us"] / 1_000_000, UTC),
        wap_id=row["wap_id"],
        is_burn=bool(row["is_burn"]),
        rows=int(row["row_count"]),
        rows_removed=int(row["rows_removed"]),
        size_bytes=int(row["size_bytes"]),
        run_id=row["run_id"],
        files=row["files"],
        replaced=row["replaced"],
    )
