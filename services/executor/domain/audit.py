"""The audit between stage and publish: may this staged snapshot become visible?

It may if every file of the batch was read to its end, in the version that the ledger has, its bad records may be set
aside, and the counts close: records = rows + blank + bad per file, and the rows of the files are the rows of the
snapshot (I7). Otherwise the verdict says what becomes of which file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.common.contracts.events import Problem
from libs.common.ledger.model.batches import Fate, gone
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from services.executor.domain.tolerance import SETS_ASIDE, Tolerance


@dataclass(frozen=True, slots=True)
class FileRead:
    """What the staging pass saw of one file. ``lines`` are its records; of most text formats, those are its lines."""

    lines: int = 0
    rows: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged snapshot, and what the pass that made it saw. ``reads``, ``unknown_fields`` and ``misfits`` go by file
    digest; ``misfits`` are the columns with a value that does not fit. ``stray_lines`` counts records whose file is not
    in the batch (never, unless a path was misread). ``empty`` are files that have bytes and, as their format shows, no
    record."""

    snapshot_id: int
    added_records: int
    reads: Mapping[bytes, FileRead]
    unknown_fields: Mapping[bytes, frozenset[str]] = field(default_factory=dict)
    stray_lines: int = 0
    empty: frozenset[bytes] = frozenset()
    misfits: Mapping[bytes, frozenset[str]] = field(default_factory=dict)

    def read_of(self, file: FileVersion) -> FileRead:
        return self.reads.get(file.digest, FileRead())

    def is_doubtful(self, file: FileVersion) -> bool:
        """Whether the file may be something else than it was read as: it has a bad record, or bytes and no record."""
        return bool(self.read_of(file).bad) or self.is_unread(file)

    def is_unread(self, file: FileVersion) -> bool:
        """Whether the file has bytes, and no record was seen of it that its format promises."""
        return bool(file.size_bytes and not self.read_of(file).lines and file.digest not in self.empty)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file cannot be loaded beside the columns that there are. ``hint`` says what to do; a file that ``waits`` is
    tried again by the next run."""

    error_type: str
    message: str
    hint: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Clean:
    """Publish it."""

    rows_by_file: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Burn it: some files cannot go on, the others can."""

    fates: Mapping[bytes, Fate]


@dataclass(frozen=True, slots=True)
class Miscounted:
    """The pass counted something else than the snapshot holds (a recomputed stage counts twice): stage again."""

    counted: int
    added: int


Verdict = Clean | Spoiled | Miscounted


def audit(
    files: Sequence[FileVersion],
    staged: Staged,
    now: Mapping[str, str | None],
    refusals: Mapping[bytes, Refusal] | None = None,
    tolerance: Tolerance = SETS_ASIDE,
) -> Verdict:
    """The verdict. ``now`` is the version tag that each key has after the read, None when it is gone; ``refusals``
    says, by file digest, which file can never be loaded beside the columns that there are; ``tolerance`` what may be
    set aside.

    A file that has the listing's version after the read had it during the read, so no mix of two versions passes.
    """
    fates = {
        f.digest: fate
        for f in files
        if (fate := _fate(f, staged, now.get(f.key), (refusals or {}).get(f.digest), tolerance)) is not None
    }
    if fates:
        return Spoiled(fates)
    rows = {f.digest: staged.read_of(f).rows for f in files}
    if sum(rows.values()) != staged.added_records or staged.stray_lines:
        return Miscounted(sum(rows.values()), staged.added_records)
    return Clean(rows)


def changed(files: Sequence[FileVersion], now: Mapping[str, str | None]) -> dict[bytes, Fate]:
    """The fates of the files that are not what was listed any more: gone, or overwritten."""
    return {f.digest: fate for f in files if (fate := _changed(f, now.get(f.key))) is not None}


def unreadable(files: Sequence[FileVersion], reasons: Mapping[bytes, str]) -> dict[bytes, Fate]:
    """The fates of the files that cannot be read to their end; ``reasons`` goes by file digest."""
    return {
        f.digest: Fate(
            FileState.FAILED,
            Problem(
                error_type="unreadable_file",
                message=f"{f.uri} cannot be read: {reasons[f.digest]}",
                hint="upload it again when it is whole: the next run loads it",
                file=f.uri,
            ),
        )
        for f in files
        if f.digest in reasons
    }


def _changed(file: FileVersion, now: str | None) -> Fate | None:
    if now is None:
        return gone(file)
    if now != file.version_tag:
        return Fate(
            FileState.SUPERSEDED,
            Problem(
                error_type="file_overwritten",
                message=f"{file.uri} was overwritten while it was loaded; nothing of it was taken",
                hint="the next run loads the new version",
                file=file.uri,
            ),
        )
    return None


def _fate(
    file: FileVersion, staged: Staged, now: str | None, refusal: Refusal | None, tolerance: Tolerance
) -> Fate | None:
    read = staged.read_of(file)
    if (fate := _changed(file, now)) is not None:
        return fate
    if refusal is not None:
        return Fate(
            FileState.DISCOVERED if refusal.waits else FileState.FAILED,
            Problem(
                error_type=refusal.error_type,
                message=f"{file.uri}: {refusal.message}",
                hint=refusal.hint,
                file=file.uri,
            ),
        )
    if (objection := tolerance.objection(file, read.rows, read.bad)) is not None:
        return Fate(FileState.FAILED, objection)
    if staged.is_unread(file):
        return Fate(
            FileState.FAILED,
            Problem(
                error_type="unread_file",
                message=f"{file.uri} has {file.size_bytes} bytes, but no record could be read from it",
                hint="check its compression and encoding; upload it again when it is right",
                file=file.uri,
            ),
        )
    return None
