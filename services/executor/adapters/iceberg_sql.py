"""The SQL that the executor speaks to Iceberg, as text. Names were checked or are quoted here."""

from collections.abc import Collection, Sequence

from libs.common.contracts.definition import Destination
from libs.common.ids import BatchId
from libs.common.schema import literal, quoted, sql
from services.executor.domain.evidence import FILES, REPLACED, ROWS, ROWS_REMOVED
from services.executor.domain.provenance import FILE_PATH
from services.executor.domain.quarantine import ATTEMPT
from services.executor.domain.schema_change import Addition, Widening
from services.executor.domain.snapshot_log import BURN, SOURCE, WAP_ID_KEPT, WAP_IDS

WAP_ENABLED = "write.wap.enabled"
GUARANTEE = "autoloader.guarantee"
"""On a snapshot that was appended, not picked: ``effectively_once``."""
_SIZES = ("added-records", "added-files-size")
REPLACES = "autoloader:replaces"
"""The column of a view that names files whose rows go (see ``replace_rows``)."""

_ASKED = ", ".join(map(literal, (*WAP_IDS, SOURCE, BURN, GUARANTEE, ROWS_REMOVED, ATTEMPT, *_SIZES)))
MARKS = f"map_filter(summary, (name, _) -> name IN ({_ASKED}))"
"""Of a snapshot: what ``SnapshotLog`` and the read-back ask of its summary, which may be long."""

# Of a snapshot ``s`` and its source ``o`` (see ``_with_sources``).
_WAP_ID = f"coalesce(s.summary['published-wap-id'], s.summary['wap.id'], s.summary['{WAP_ID_KEPT}'])"
# A burn that was picked carries no mark; its source does, until that is expired. What is left then is that it added
# nothing.
_IS_BURN = (
    f"(coalesce(s.summary['{BURN}'], o.summary['{BURN}'], 'false') = 'true' "
    "OR (o.snapshot_id IS NULL AND s.summary['source-snapshot-id'] IS NOT NULL "
    "AND coalesce(s.summary['added-records'], '0') = '0'))"
)


def create_namespace(to: Destination) -> str:
    return f"CREATE NAMESPACE IF NOT EXISTS {to.catalog}.{to.database}"


def rename_table(table: Destination, name: str) -> str:
    """A rename's target is written without its catalog."""
    return f"ALTER TABLE {table.identifier} RENAME TO {table.database}.{name}"


def drop_table(table: Destination) -> str:
    """With its files."""
    return f"DROP TABLE IF EXISTS {table.identifier} PURGE"


def describe_table(identifier: str) -> str:
    return f"DESCRIBE TABLE EXTENDED {identifier}"


def latest_metadata(identifier: str) -> str:
    return f"SELECT file FROM {identifier}.metadata_log_entries ORDER BY timestamp DESC LIMIT 1"


def set_property(to: Destination, name: str, value: str) -> str:
    return f"ALTER TABLE {to.identifier} SET TBLPROPERTIES ({literal(name)}={literal(value)})"


def show_properties(to: Destination) -> str:
    return f"SHOW TBLPROPERTIES {to.identifier}"


def add_columns(to: Destination, additions: Sequence[Addition]) -> str:
    columns = ", ".join(f"{'.'.join(map(quoted, a.path))} {sql(a.type)}{_comment(a.comment)}" for a in additions)
    return f"ALTER TABLE {to.identifier} ADD COLUMNS ({columns})"


def change_type(to: Destination, widening: Widening) -> str:
    return f"ALTER TABLE {to.identifier} ALTER COLUMN {'.'.join(map(quoted, widening.path))} TYPE {widening.type}"


def _comment(words: str) -> str:
    return f" COMMENT {literal(words)}" if words else ""


def refresh(to: Destination) -> str:
    return f"REFRESH TABLE {to.identifier}"


def cherry_pick(to: Destination, snapshot_id: int) -> str:
    """Publishes a staged snapshot. Iceberg validates the wap id against the table's ancestry, also on its own
    retries (org.apache.iceberg.CherryPickOperation), so a second publish of one wap id is refused."""
    return f"CALL {to.catalog}.system.cherrypick_snapshot('{to.database}.{to.table}', {snapshot_id})"


def staged_by_attempt(to: Destination, wap_id: str, attempt: str | None) -> str:
    """The snapshot that an attempt (None: any) staged under the wap id."""
    of = "" if attempt is None else f" AND summary['{ATTEMPT}'] = {literal(attempt)}"
    return (
        f"SELECT snapshot_id FROM {to.identifier}.snapshots WHERE summary['wap.id'] = {literal(wap_id)}{of} "
        "ORDER BY committed_at DESC LIMIT 1"
    )


def bad_records(quarantine: Destination) -> str:
    return f"SELECT batch_id, file, count(*) AS records FROM {quarantine.identifier} GROUP BY batch_id, file"


def remove_bad_records(quarantine: Destination, batch_ids: Collection[BatchId], uris: Sequence[str]) -> str:
    batches, files = (", ".join(literal(str(each)) for each in listed) for listed in (batch_ids, uris))
    return f"DELETE FROM {quarantine.identifier} WHERE batch_id IN ({batches}) AND file IN ({files})"


def _with_sources(to: Destination) -> str:
    """Every snapshot ``s``; if it was picked, with the staged one that it was picked from, ``o``."""
    return (
        f"{to.identifier}.snapshots s LEFT JOIN {to.identifier}.snapshots o "
        f"ON o.snapshot_id = CAST(s.summary['source-snapshot-id'] AS BIGINT)"
    )


def _either(name: str) -> str:
    """A property of ours, of the snapshot itself or of its source."""
    return f"coalesce(s.summary['{name}'], o.summary['{name}'])"


def all_snapshots(to: Destination) -> str:
    """Every snapshot, with what it (or, if it was picked, its source) says of itself."""
    return (
        f"SELECT s.snapshot_id, s.parent_id, unix_micros(s.committed_at) AS committed_us, {_WAP_ID} AS wap_id, "
        f"{_IS_BURN} AS is_burn, "
        f"CAST(coalesce({_either(ROWS)}, s.summary['added-records'], '0') AS BIGINT) AS row_count, "
        f"CAST(coalesce({_either(ROWS_REMOVED)}, '0') AS BIGINT) AS rows_removed, "
        f"CAST(coalesce(s.summary['added-files-size'], '0') AS BIGINT) AS size_bytes, "
        f"{_either('autoloader.run')} AS run_id, {_either(FILES)} AS files, {_either(REPLACED)} AS replaced "
        f"FROM {_with_sources(to)}"
    )


def rows_of_files(to: Destination, uris: Sequence[str], as_of: int | None = None) -> str:
    """Now, or as of a snapshot: how many rows name each of these files, and (null) none at all."""
    wanted = ", ".join(map(literal, uris))
    return (
        f"SELECT {FILE_PATH} AS uri, count(*) AS row_count FROM {_at(to, as_of)} "
        f"WHERE {FILE_PATH} IS NULL OR {FILE_PATH} IN ({wanted}) GROUP BY 1"
    )


def count_rows(to: Destination, as_of: int | None = None) -> str:
    return f"SELECT count(*) AS row_count FROM {_at(to, as_of)}"


def _at(to: Destination, snapshot_id: int | None) -> str:
    return to.identifier if snapshot_id is None else f"{to.identifier} VERSION AS OF {snapshot_id}"


def replace_rows(to: Destination, view: str, columns: Sequence[str]) -> str:
    """Takes out the rows that name a file which ``view`` lists under ``REPLACES``, and puts in those of its rows that
    list none: one snapshot. Equality on the one column lets Spark rewrite only the data files that hold such rows."""
    names, values = (", ".join(f"{prefix}{quoted(c)}" for c in columns) for prefix in ("", "new."))
    return (
        f"MERGE INTO {to.identifier} AS old USING {view} AS new ON old.{FILE_PATH} = new.{quoted(REPLACES)} "
        f"WHEN MATCHED THEN DELETE "
        f"WHEN NOT MATCHED AND new.{quoted(REPLACES)} IS NULL THEN INSERT ({names}) VALUES ({values})"
    )


def rows_as_of(to: Destination, snapshot_id: int) -> str:
    return f"SELECT * FROM {_at(to, snapshot_id)}"


def has_snapshot(to: Destination, snapshot_id: int) -> str:
    """One row if the table has it, as an ancestor of the current one or not."""
    return f"SELECT snapshot_id FROM {to.identifier}.snapshots WHERE snapshot_id = {snapshot_id}"


def parent_of(to: Destination, snapshot_id: int) -> str:
    return f"SELECT parent_id FROM {to.identifier}.snapshots WHERE snapshot_id = {snapshot_id}"


def current_snapshot(to: Destination) -> str:
    return f"SELECT snapshot_id FROM {to.identifier}.refs WHERE name = 'main'"


def data_files_twice(to: Destination) -> str:
    return f"SELECT file_path FROM {to.identifier}.data_files GROUP BY file_path HAVING count(*) > 1 LIMIT 100"


def count_data_files(to: Destination) -> str:
    return f"SELECT count(*) AS files FROM {to.identifier}.data_files"


def ancestor(to: Destination, snapshot_id: int) -> str:
    """One row if the snapshot is there and in the current ancestry."""
    return (
        f"SELECT s.snapshot_id FROM {to.identifier}.snapshots s JOIN {to.identifier}.history h "
        f"ON h.snapshot_id = s.snapshot_id AND h.is_current_ancestor WHERE s.snapshot_id = {snapshot_id} LIMIT 1"
    )


def cut_ancestry(to: Destination) -> str:
    """One row if the oldest ancestor that is left had a parent: snapshots were expired."""
    return (
        f"SELECT s.snapshot_id FROM {to.identifier}.snapshots s JOIN {to.identifier}.history h "
        f"ON h.snapshot_id = s.snapshot_id AND h.is_current_ancestor "
        f"LEFT JOIN {to.identifier}.snapshots p ON p.snapshot_id = s.parent_id "
        f"WHERE s.parent_id IS NOT NULL AND p.snapshot_id IS NULL LIMIT 1"
    )
