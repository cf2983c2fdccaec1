"""Values about an audit and a rebuild: what the ledger has of a table's batches and files, or should have."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import BatchState, FileState


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
