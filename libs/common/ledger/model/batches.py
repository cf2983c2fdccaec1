"""Values about batches: the right to work on one, how far it is, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.common.contracts.events import Guarantee, Problem
from libs.common.ids import BatchId, IngestionId, RunId
from libs.common.ledger.model.columns import Column, Evidence
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import BatchState, FileState

NO_SNAPSHOT = -1
"""In the place of a snapshot's id: there is none, the table is empty."""


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
class PastBatch:
    """A batch that was published, and how long the attempt took that published it."""

    files: int
    size_bytes: int
    seconds: float
    replaces_rows: bool = False


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


@dataclass(frozen=True, slots=True)
class Doubts:
    """Where ledger and table contradict each other: batches whose rows the table has and of which the ledger knows
    nothing, or that they were burned; and snapshots that the ledger takes for published."""

    strangers: tuple[str, ...] = ()
    published: frozenset[int] = frozenset()


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
