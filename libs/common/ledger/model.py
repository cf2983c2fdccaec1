"""Values that the ledger takes and gives. Frozen, without I/O."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from libs.common.contracts.events import Guarantee, Problem, RefreshMode, RefreshStrategy
from libs.common.ids import BatchId, IngestionId, RefreshId, RunId
from libs.common.ledger.outlived import why_ended
from libs.common.ledger.states import BatchState, FileState


def digest_of(bucket: str, key: str) -> bytes:
    """The key's identity in the ledger: sha256(bucket NUL key). No bucket's name holds a NUL, so no two collide."""
    return hashlib.sha256(f"{bucket}\0{key}".encode()).digest()


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of one object, as a listing or a HEAD shows it."""

    bucket: str
    key: str
    etag: str
    size_bytes: int
    last_modified: datetime

    @property
    def digest(self) -> bytes:
        return digest_of(self.bucket, self.key)

    @property
    def version_tag(self) -> str:
        """What tells two versions of a key apart where the store has no version ids."""
        return f"{self.etag}:{self.size_bytes}"

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def is_folder_marker(self) -> bool:
        """Consoles make folders visible with empty objects whose key ends in a slash. They are no files."""
        return self.key.endswith("/") and self.size_bytes == 0


def tags(versions: Mapping[str, FileVersion | None]) -> dict[str, str | None]:
    """Of each key the tag of its version; None stays None."""
    return {key: None if version is None else version.version_tag for key, version in versions.items()}


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What the ledger remembers of one version of a key. ``given_up``: it waits because its batch was burned for a
    reason that lies in no file, and counts as failed in the run that gave it up. ``held``: a run in the other lane
    has found it, and lists still: it is about to be in one of that run's batches. ``by_policy``: it was left for
    overwriting a loaded file, not for what it holds."""

    version_tag: str
    state: FileState
    run_id: RunId
    given_up: bool = False
    held: bool = False
    by_policy: bool = False


FILE_OVERWRITTEN = "file_overwritten"
"""The error type of a version that overwrote a loaded file, or that was overwritten while it was read."""


def is_by_policy(state: FileState, error_type: str | None) -> bool:
    """Whether a version in this state was left by ``allow_overwrites``, not for what it holds."""
    return state is FileState.SKIPPED or (state is FileState.FAILED and error_type == FILE_OVERWRITTEN)


@dataclass(frozen=True, slots=True)
class Reload:
    """What a run does, or did, to have a loaded key loaded again. ``state``: *batched* while it is on its way,
    *committed* when its rows are in the table, or why they are not."""

    run_id: RunId
    state: FileState


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the table holds of a key: rows of one version, or of several if later ones were appended. ``rows`` is None
    where nobody counted them: the ledger was rebuilt. ``bad_from`` are the batches that set bad records of it aside."""

    files: tuple[FileVersion, ...]
    rows: int | None
    bad_from: tuple[BatchId, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that does not fit. ``line`` is 1-based, None where it cannot be told; ``raw`` is the beginning of its
    text, None where a file is not text."""

    line: int | None
    reason: str
    raw: str | None


@dataclass(frozen=True, slots=True)
class BadRecords:
    """Those of one file: how many, and the first of them."""

    count: int
    first: tuple[BadRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that cannot be loaded as it is, and why."""

    file: FileVersion
    problem: Problem


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """A batch that is about to be written into the ledger. ``replaces_rows``: its keys are loaded already, and its
    publish takes the rows of their earlier versions out of the table (``replacements.py``)."""

    id: BatchId
    files: tuple[FileVersion, ...]
    replaces_rows: bool = False

    @property
    def size_bytes(self) -> int:
        return sum(f.size_bytes for f in self.files)


@dataclass(frozen=True, slots=True)
class Page:
    """What one page of a listing adds to the ledger, in one transaction.

    ``taken`` are file versions that are new to this run (recorded as discovered), ``superseded`` the digests whose
    discovered version was overwritten before anybody read it, ``beside`` those of taken files whose loaded versions
    stay; ``left`` overwrote loaded files, and are remembered as skipped; ``batches`` are full and hold files of this
    page or of earlier ones. ``files_skipped`` is the scan's count so far, not this page's.
    """

    taken: tuple[FileVersion, ...] = ()
    superseded: tuple[bytes, ...] = ()
    beside: tuple[bytes, ...] = ()
    left: tuple[FileVersion, ...] = ()
    refused: tuple[Refusal, ...] = ()
    batches: tuple[PlannedBatch, ...] = ()
    files_skipped: int = 0


@dataclass(frozen=True, slots=True)
class ScanClaim:
    """The right to list for a run, until the lease ends or somebody holds a higher token."""

    run_id: RunId
    ingestion_id: IngestionId
    generation: int
    token: int
    attempt: int


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A table that a refresh set aside: its name now (without catalog and database), whose generation it holds, and its
    latest metadata file then."""

    name: str
    generation: int
    metadata_location: str | None = None


@dataclass(frozen=True, slots=True)
class BuiltAside:
    """A table that a refresh builds beside the old one: its name (without catalog and database). ``generation`` is the
    one whose history goes on: what was built if it takes the place, what was there before if it is given up."""

    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class ReplacedRows:
    """The rows that a swap took out of the table: the snapshot that still has them (``NO_SNAPSHOT``: there were none),
    and the generation that they are of."""

    snapshot_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """The right to work on a refresh, until the lease ends or somebody holds a higher token. ``kept`` is what an undo
    goes back to, or what a swap puts in place."""

    id: RefreshId
    ingestion_id: IngestionId
    mode: RefreshMode
    from_generation: int
    to_generation: int
    token: int
    attempt: int
    kept: KeptTable | BuiltAside | ReplacedRows | None = None
    strategy: RefreshStrategy = "drop"

    @property
    def builds_aside(self) -> bool:
        """Whether the old table stays in its place, and the new one is loaded beside it."""
        return self.mode in ("full", "new_only") and self.strategy == "swap"

    @property
    def replaces_all(self) -> bool:
        """Whether it puts other rows into the table that stands there, in one snapshot."""
        return self.mode == "swap" or isinstance(self.kept, ReplacedRows)

    @property
    def wap_id(self) -> str:
        """The name under which it can do so once: a batch's, since that snapshot stands in the ledger as one."""
        return f"al1:{self.ingestion_id}:{self.to_generation}:{self.id}"

    @property
    def reason(self) -> Problem:
        """What the runs that it ends are told."""
        return why_ended(self.mode, self.to_generation, had_begun=True)


@dataclass(frozen=True, slots=True)
class BatchClaim:
    """The right to work on a batch, until the lease ends or somebody holds a higher token."""

    id: BatchId
    run_id: RunId
    ingestion_id: IngestionId
    generation: int
    token: int
    attempt: int
    replaces_rows: bool = False

    @property
    def wap_id(self) -> str:
        """The name under which this batch can be published once: see docs/explanation/exactly-once.md."""
        return f"al1:{self.ingestion_id}:{self.generation}:{self.id}"

    @property
    def rows_wap_id(self) -> str:
        """The name under which the rows of a batch that replaces others are staged. It is never published."""
        return f"rows:{self.wap_id}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a batch is. ``may_be_staged``: some attempt, this one or an earlier one, may have left a staged or even
    a published snapshot, so the table has to be asked before anything else. ``publish_base``: the table's current
    snapshot right before the latest publish was sent (``NO_SNAPSHOT``: it had none), None if none was sent; what was
    published since has it among its ancestors. ``halt``: why nothing of the ingestion may be loaded now."""

    state: BatchState
    may_be_staged: bool
    publish_base: int | None = None
    halt: Problem | None = None


NO_SNAPSHOT = -1


@dataclass(frozen=True, slots=True)
class Doubts:
    """Where ledger and table contradict each other: batches whose rows the table has and of which the ledger knows
    nothing, or that they were burned; and snapshots that the ledger takes for published."""

    strangers: tuple[str, ...] = ()
    published: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: its name, and its type as SQL writes it."""

    name: str
    type: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What asked for a change of a column: the first file that had it, and a value of it there, as JSON. ``column`` is
    its path as people write it."""

    column: str
    file: str
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new column that somebody has to approve: its path as people write it, and a file that has such a field."""

    column: str
    type: str
    file: str | None = None
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """What somebody decided of fields, by path as people write it: they may become columns, or no column takes them
    (also if the table has it by now)."""

    approved: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PublishedBatch:
    """What the table holds of a batch, read back from it. ``columns`` is the table's schema at that time,
    ``rows_removed`` what its publish took out. ``evidence`` is for changes of columns that the batch asked for, and
    ``mode`` the schema_evolution_mode that let it. ``warnings`` are what its user should know of the table."""

    snapshot_id: int
    bytes_written: int
    columns: tuple[Column, ...]
    cause_key: str | None = None
    guarantee: Guarantee = "exactly_once"
    rows_removed: int = 0
    evidence: tuple[Evidence, ...] = ()
    mode: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a file whose batch is burned. ``problem`` is what the user is told, if anything."""

    state: FileState
    problem: Problem | None = None


def gone(file: FileVersion) -> Fate:
    """Of a file that was not there any more when its turn came."""
    problem = Problem(
        error_type="file_missing",
        message=f"{file.uri} was listed, but was gone before it was loaded",
        hint="nothing to do if it was removed on purpose; when it comes back, the next run loads it",
        file=file.uri,
    )
    return Fate(FileState.MISSING, problem)


@dataclass(frozen=True, slots=True)
class BurnVerdict:
    """What a burned batch leaves: fates by file digest; files without a fate go on in a new batch.

    ``problem`` is the reason when no single file is to blame. ``parts``: in how many new batches the others go on.
    ``aborts``: they do not, and the rest of the run ends with the batch.
    """

    fates: Mapping[bytes, Fate] = field(default_factory=dict)
    problem: Problem | None = None
    parts: int = 1
    aborts: bool = False


def in_parts(files: tuple[FileVersion, ...], parts: int) -> list[tuple[FileVersion, ...]]:
    """The files in their order, cut into at most ``parts`` pieces of nearly one length; none of them empty."""
    size = -(-len(files) // parts) or 1
    return [files[start : start + size] for start in range(0, len(files), size)]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """What an audit wants to know of a batch."""

    id: str
    generation: int
    state: BatchState
    snapshot_id: int | None
    rows: int
    rows_removed: int = 0


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What an audit wants to know of one version of a key."""

    version_tag: str
    state: FileState
    batch_id: str | None


@dataclass(frozen=True, slots=True)
class RestoredFile:
    """A file version that is in the table: by the batch that proves it, or (None) because somebody said so.
    ``given_way``: tags of the key's versions whose rows are not there any more."""

    file: FileVersion
    batch_id: str | None
    given_way: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RestoredBatch:
    """A batch that the table holds, on its way back into the ledger. ``run_id`` is None where nothing tells it; ``bad``
    are the records of it that stand in the quarantine, by file."""

    id: str
    run_id: str | None
    snapshot_id: int
    rows: int
    bytes_written: int
    files: int
    rows_removed: int = 0
    bad: Mapping[str, int] = field(default_factory=dict)
