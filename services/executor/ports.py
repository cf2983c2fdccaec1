"""What the commit protocol needs: a ledger and a table. The adapters are Postgres and Spark; the model tests
bring both in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from libs.common.contracts.definition import Source
from libs.common.contracts.events import Guarantee, Problem
from libs.common.errors import Temporary
from libs.common.ids import BatchId, IngestionId
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Doubts, PublishedBatch, Standing
from libs.common.ledger.model.columns import Column, Decisions, Evidence, Proposal
from libs.common.ledger.model.files import BadRecords, FileVersion, Loaded
from libs.common.schema import Struct
from services.executor.domain.audit import Staged
from services.executor.domain.from_keys import KeyValues
from services.executor.domain.layout import PLAIN, Layout
from services.executor.domain.replacing import FileRows
from services.executor.domain.schema_change import Addition, Widening


@dataclass(frozen=True, slots=True)
class Published:
    """What the current ancestry of the table holds under one wap id: a batch's data, or an empty burn. ``attempt``
    names the attempt that staged it, None where that is not told any more."""

    snapshot_id: int
    is_burn: bool
    bytes_written: int
    guarantee: Guarantee = "exactly_once"
    rows_removed: int = 0
    attempt: str | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """A staged snapshot that can be published only while ``parent_id`` is current (``NO_SNAPSHOT``: while none is)."""

    snapshot_id: int
    parent_id: int


@dataclass(frozen=True, slots=True)
class History:
    """What a table's snapshots say of one ingestion. ``current`` is the current snapshot (``NO_SNAPSHOT``: none);
    ``batches`` are the ids of the batches whose rows are in its ancestry; ``beside`` are snapshots of the ingestion
    that the table has and that are not in its ancestry: staged ones, and those that were rolled back."""

    current: int
    batches: frozenset[str] = frozenset()
    beside: frozenset[int] = frozenset()


class SourceChanged(Temporary):
    """A file was not there, or not the same, when Spark came to read it. The object store knows which."""

    def __init__(self) -> None:
        super().__init__("a file changed before it was read", code="source_changed")


class FilesUnreadable(Temporary):
    """Some files cannot be read to their end: cut short, or not compressed as their names say. ``reasons`` goes by
    file digest."""

    def __init__(self, reasons: Mapping[bytes, str]) -> None:
        super().__init__("a file cannot be read to its end", code="unreadable_file")
        self.reasons = reasons


class Ledger(Protocol):
    """A batch's guarded life; see ``libs/common/ledger/batches.py``. Every method raises ``Fenced`` when the claim is
    lost, and then has written nothing."""

    async def standing(self, claim: BatchClaim) -> Standing: ...
    async def files(self, claim: BatchClaim) -> tuple[FileVersion, ...]: ...
    async def loaded(self, claim: BatchClaim) -> Mapping[bytes, Loaded]: ...
    async def watermark(self, claim: BatchClaim, source: Source, created_at: datetime) -> datetime | None: ...
    async def has_published(self, ingestion_id: IngestionId, generation: int) -> bool: ...
    async def about_to_stage(self, claim: BatchClaim) -> None: ...
    async def staged(
        self, claim: BatchClaim, rows_by_file: Mapping[bytes, int], bad: Mapping[bytes, BadRecords] | None = None
    ) -> bool: ...
    async def doubts(self, claim: BatchClaim, batches: Collection[str], snapshots: Collection[int]) -> Doubts: ...
    async def decisions(self, claim: BatchClaim) -> Decisions: ...
    async def propose(self, claim: BatchClaim, proposals: Sequence[Proposal]) -> None: ...
    async def halt(self, claim: BatchClaim, reason: Problem) -> None: ...
    async def publishing(self, claim: BatchClaim, base: int) -> None: ...
    async def published(self, claim: BatchClaim, found: PublishedBatch) -> None: ...
    async def burning(self, claim: BatchClaim) -> None: ...
    async def burned(self, claim: BatchClaim, verdict: BurnVerdict) -> None: ...


class Table(Protocol):
    """One batch's hold on its destination table, in a session of its own.

    Raises:
        Temporary: ``spark_unreachable``, ``spark_failed``: may pass by itself.
        Permanent: ``unknown_catalog``, ``invalid_destination``, …: somebody has to change something.
    """

    name: str
    """As SQL writes it."""

    async def schema(self) -> Struct | None:
        """The schema of the table, made ready for staging (``write.wap.enabled``); None if there is no table."""
        ...

    async def columns(self) -> tuple[Column, ...]:
        """The table's columns, for the record."""
        ...

    async def create(self, schema: Struct, layout: Layout = PLAIN) -> Struct:
        """Creates the table if nobody else just did; returns the schema that it has. Ready for staging."""
        ...

    async def warnings(self) -> tuple[str, ...]:
        """What the definition wants of its table, and this one, which was there before, does not have."""
        ...

    async def add(self, additions: Sequence[Addition]) -> Struct:
        """Adds fields; one that is there already, in any spelling, is left as it is. Returns the schema after."""
        ...

    async def widen(self, widenings: Sequence[Widening]) -> Struct:
        """Changes types in place; a field that is not of the type before, or not there, is left as it is. Returns the
        schema after."""
        ...

    async def infer(self, files: Sequence[FileVersion]) -> Struct:
        """The schema that these files show, all of their lines read. Empty if they hold no record.

        Raises:
            SourceChanged, FilesUnreadable: as ``stage``.
        """
        ...

    async def examples(
        self, files: Sequence[FileVersion], schema: Struct, paths: Sequence[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], Evidence]:
        """For each path that leads through structs alone: a file that has a value there, and the value; of numbers the
        largest. Paths without a value are left out. Raises as ``infer``."""
        ...

    async def misfits(self, files: Sequence[FileVersion], schema: Struct) -> Mapping[str, int]:
        """Read with this schema: by column, how many records have a value that it cannot hold. Columns that hold all
        are left out. Raises as ``infer``."""
        ...

    async def stage(
        self,
        files: Sequence[FileVersion],
        schema: Struct,
        wap_id: str,
        properties: Mapping[str, str],
        from_keys: KeyValues | None = None,
    ) -> Staged:
        """Writes the files' rows into a snapshot that no reader sees. ``properties`` are the snapshot's; the run that
        they name is also what the rows say, in a table that has such a column. ``from_keys`` are the values of the
        columns that ``schema`` marks for them.

        Raises:
            SourceChanged: a file is gone, or is being replaced.
            FilesUnreadable: these can never be read; the others can.
            Temporary: ``schema_changed``: the table is not what ``schema`` says any more.
        """
        ...

    async def file_rows(self, uris: Sequence[str], snapshot_id: int | None = None) -> FileRows:
        """Counts rows by the file that they name, as of a snapshot (None: the current one), read back afresh. The table
        has the column.
        """
        ...

    async def stage_replacement(
        self, rows_from: int, uris: Sequence[str], wap_id: str, properties: Mapping[str, str]
    ) -> Copy:
        """Stages the table as it is now, without the rows that name one of these files, and with those that the staged
        snapshot ``rows_from`` added. Others may commit meanwhile: ``parent_id`` says on what it was staged.

        Raises:
            Permanent: ``cannot_replace``: the table refuses staging.
        """
        ...

    async def stage_burn(self, wap_id: str, properties: Mapping[str, str]) -> int:
        """Stages an empty snapshot under the wap id; returns the snapshot's id."""
        ...

    async def publish(self, snapshot_id: int) -> None:
        """Makes a staged snapshot current. Any exception means *unknown*: ask ``published``."""
        ...

    async def published(self, wap_id: str) -> Published | None:
        """What the table's current ancestry holds under this wap id, read back afresh."""
        ...

    async def history(self, ingestion_id: IngestionId) -> History:
        """What the table's snapshots say of this ingestion, read back afresh."""
        ...

    async def remembers(self, snapshot_id: int) -> bool:
        """Whether the current ancestry reaches back to this snapshot (``NO_SNAPSHOT``: to the table's first), so that
        a batch published since could not have left it. False after a rollback, or when snapshots were expired."""
        ...

    async def first_bad_line(self, file: FileVersion, schema: Struct) -> int | None:
        """Reads one file alone to find its first line that does not fit, 1-based; None if it cannot be told."""
        ...

    async def stage_bad_records(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> Mapping[bytes, BadRecords]:
        """Reads the bad records of these files, and writes them into a snapshot of the table's quarantine that no
        reader sees; makes the quarantine if there is none. What was written, by file digest. Raises as ``stage``."""
        ...

    async def staged_bad_records(self, wap_id: str, attempt: str | None) -> int | None:
        """The snapshot of the quarantine that this attempt staged (None: that any did) under the wap id; None if there
        is none, or no quarantine."""
        ...

    async def publish_bad_records(self, snapshot_id: int) -> None:
        """As ``publish``, in the quarantine."""
        ...

    async def remove_bad_records(self, batch_ids: Collection[BatchId], uris: Sequence[str]) -> None:
        """Takes out of the quarantine what these batches set aside of these files. May be asked for again."""
        ...

    async def has_bad_records(self, wap_id: str) -> bool:
        """Whether the quarantine's current ancestry holds something under this wap id, read back afresh."""
        ...
