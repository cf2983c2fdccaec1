"""When the rows of files may be taken out of a table for others of the same files, and whether a staged copy does that
and nothing else.

The table says of each row which file it came from (``_file_path``), the ledger how many rows it should hold of each.
Where the two differ, rows would stay that should go, or go that somebody else put there: then nothing is changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from libs.common.errors import Permanent
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion, Loaded
from libs.common.schema import Struct
from services.executor.domain.provenance import FILE_PATH, is_ours

_KEPT = (
    "its rows from before are still in the table. Mend the cause, then ask for the reload again; where "
    "source.allow_overwrites is replace, a new upload is enough"
)


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of a table as of one of its snapshots: of each file that was asked for, by its URI; those that name no file;
    and all there are."""

    snapshot_id: int
    by_uri: Mapping[str, int]
    nameless: int
    total: int

    def of(self, files: Sequence[FileVersion]) -> int:
        return sum(self.by_uri.get(f.uri, 0) for f in files)


def check_column(table: str, schema: Struct) -> None:
    """
    Raises:
        Permanent: code ``file_column_missing``: the table's rows do not say which file they came from.
    """
    column = schema.get(FILE_PATH)
    if column is None or not is_ours(column):
        raise Permanent(
            f"{table} does not say which file a row came from, so the rows of single files cannot be replaced in it",
            code="file_column_missing",
            hint=f"add {FILE_PATH} to destination.metadata_columns, then POST …/refresh/full: from then on files can "
            "be reloaded",
        )


def check_rows(table: str, files: Sequence[FileVersion], loaded: Mapping[bytes, Loaded], now: FileRows) -> None:
    """
    Raises:
        Permanent: code ``file_column_incomplete``: rows of a file may be among those that name none;
            ``rows_of_others``: there are more rows of a file than this ingestion put there.
    """
    for f in files:
        known, found = loaded.get(f.digest), now.by_uri.get(f.uri, 0)
        expected = 0 if known is None else known.rows
        if expected is not None and found > expected:
            raise Permanent(
                f"{table} holds {found:,} rows of {f.uri}, and this ingestion loaded {expected:,}: replacing them "
                "would take away what somebody else put there",
                code="rows_of_others",
                hint="does another ingestion load the same files into this table? Remove the rows that should not be "
                "there, or give each ingestion a table of its own",
            )
        if now.nameless and (expected is None or found < expected):
            raise Permanent(
                f"{now.nameless:,} rows of {table} name no file in {FILE_PATH}, as those from before it had "
                f"that column; rows of {f.uri} may be among them, and would stay beside the new ones",
                code="file_column_incomplete",
                hint="POST …/refresh/full loads everything with the column; from then on files can be reloaded",
            )


def replaces_exactly(
    files: Sequence[FileVersion], rows_by_file: Mapping[bytes, int], before: FileRows, after: FileRows
) -> bool:
    """Whether the table as of ``after`` has the new rows of the files instead of the old ones, and all others as before
    (I7)."""
    arrived = {f.uri: rows_by_file.get(f.digest, 0) for f in files}
    there = {uri: after.by_uri.get(uri, 0) for uri in arrived}
    return (
        arrived == there
        and after.nameless == before.nameless
        and after.total == before.total - before.of(files) + sum(arrived.values())
    )


def kept(verdict: BurnVerdict) -> BurnVerdict:
    """The verdict on a batch that would have replaced rows, in words that fit: its files do not wait for the next run,
    since they are loaded."""

    def fitting(fate: Fate) -> Fate:
        if fate.problem is None:
            return fate
        return replace(fate, problem=fate.problem.model_copy(update={"hint": _KEPT}))

    return replace(verdict, fates={digest: fitting(fate) for digest, fate in verdict.fates.items()})
