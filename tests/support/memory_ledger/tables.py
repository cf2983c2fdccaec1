"""The tables of the ledger in memory, and what the parts of the ledger do with them in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from libs.common.clock import Clock, utc_now
from libs.common.contracts.events import (
    FileBatchPlanned,
    Message,
    Problem,
    RefreshMode,
    RefreshPhase,
    RefreshStrategy,
    RunCompleted,
    RunFact,
    Totals,
)
from libs.common.errors import Fenced, Temporary
from libs.common.ids import BatchId, IngestionId, RefreshId, RunId
from libs.common.ledger.model.batches import BatchClaim, PlannedBatch
from libs.common.ledger.model.columns import Column, Evidence
from libs.common.ledger.model.files import BadRecords
from libs.common.ledger.model.hints import Hint
from libs.common.ledger.model.refreshes import BuiltAside, KeptTable, RefreshClaim, ReplacedRows
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.model.settled import Tally
from libs.common.ledger.run_log import Header, add, is_over
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, BatchState, FileState, ScanState
from libs.common.lifecycle.run import outcome
from tests.support.memory_ledger import replacements
from tests.support.memory_ledger.rows import FileId, FileRow, ReplacementRow

LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class BatchRow:
    id: BatchId
    run_id: RunId
    ingestion_id: IngestionId
    generation: int
    file_count: int
    size_bytes: int
    updated_at: datetime
    state: BatchState = BatchState.PLANNED
    token: int = 0
    attempts: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    claimed_at: datetime | None = None
    took: timedelta | None = None
    """The attempt that published it."""
    may_be_staged: bool = False
    bad: Mapping[tuple[bytes, str], BadRecords] = field(default_factory=dict)
    """By digest and version tag; without one in a batch that has one version of a key."""
    bad_from: Mapping[tuple[bytes, str], BatchId] = field(default_factory=dict)
    """Where others set them aside: for those this one stands."""
    snapshot_id: int | None = None
    row_count: int | None = None
    publish_base: int | None = None
    replaces: BatchId | None = None
    replaces_rows: bool = False
    rows_removed: int = 0
    last_error: str | None = None

    def bad_of(self, at: FileId) -> tuple[BadRecords, BatchId] | None:
        """See ``Tables.bad_of``."""
        of = next((of for of in (at[2:], (at[2], "")) if of in self.bad), None)
        return None if of is None else (self.bad[of], self.bad_from.get(of, self.id))

    @property
    def records_quarantined(self) -> int:
        return sum(found.count for found in self.bad.values())


@dataclass(frozen=True, slots=True)
class ScanRow:
    run_id: RunId
    ingestion_id: IngestionId
    generation: int
    created_at: datetime
    state: ScanState = ScanState.SCANNING
    token: int = 0
    attempts: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    seq: int = 0
    totals: Totals = field(default_factory=Totals)
    outcome: str | None = None
    is_cancelled: bool = False
    is_aborted: bool = False


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run of the API's that was asked for and has not ended, as scanners see it."""

    ingestion_id: IngestionId
    generation: int
    dispatched_at: datetime


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    version: int
    columns: tuple[Column, ...]
    batch_id: BatchId
    cause_key: str | None
    evidence: tuple[Evidence, ...] = ()
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class RefreshRow:
    id: RefreshId
    ingestion_id: IngestionId
    mode: RefreshMode
    from_generation: int
    to_generation: int
    undoes: RefreshId | None = None
    strategy: RefreshStrategy = "drop"
    completes: RefreshId | None = None
    phase: RefreshPhase = "requested"
    token: int = 0
    attempts: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    kept_as: str | None = None
    metadata_location: str | None = None
    builds: str | None = None
    snapshot_id: int | None = None
    replaced_snapshot: int | None = None
    row_count: int | None = None
    bytes_written: int | None = None
    told_problem: str | None = None
    last_error: str | None = None

    def claimed(self, kept: KeptTable | BuiltAside | ReplacedRows | None = None) -> RefreshClaim:
        """The claim of whoever has the refresh now."""
        return RefreshClaim(
            self.id,
            self.ingestion_id,
            self.mode,
            self.from_generation,
            self.to_generation,
            self.token,
            self.attempts,
            kept,
            self.strategy,
        )


class Tables:
    """The rows, and the messages that were enqueued (``events``). Time is the injected clock.

    While ``away`` is true every call raises what an absent database raises.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self.clock = clock
        self.away = False
        self.files: dict[FileId, FileRow] = {}
        self.batches: dict[BatchId, BatchRow] = {}
        self.replacements: dict[tuple[BatchId, bytes], ReplacementRow] = {}
        self.runs: dict[RunId, RunRow] = {}
        self.scans: dict[RunId, ScanRow] = {}
        self.refreshes: dict[RefreshId, RefreshRow] = {}
        self.schema_versions: dict[tuple[IngestionId, int], tuple[SchemaVersion, ...]] = {}
        self.generations: dict[IngestionId, int] = {}
        self.halts: dict[IngestionId, Problem] = {}
        self.decisions: dict[IngestionId, dict[str, str]] = {}
        self.hints: dict[tuple[IngestionId, bytes], tuple[int, Hint]] = {}
        self.last_hints: dict[IngestionId, int] = {}
        self.listed_from: dict[tuple[IngestionId, int], datetime] = {}
        self.settled: dict[tuple[IngestionId, int, bytes], tuple[int, Tally]] = {}
        """By fingerprint the epoch, and what was counted."""
        self.epochs: dict[tuple[IngestionId, int], int] = {}
        self.events: list[Message] = []

    def facts(self, run_id: RunId) -> list[RunFact]:
        """What the run-status topic got of a run, in order."""
        return [e for e in self.events if isinstance(e, RunFact) and e.run_id == run_id]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All or nothing. The block must not await."""
        await asyncio.sleep(0)
        if self.away:
            raise Temporary("Postgres is not available", code="database_unavailable")
        files, batches, scans = self.files.copy(), self.batches.copy(), self.scans.copy()
        runs, refreshes = self.runs.copy(), self.refreshes.copy()
        schema_versions, events = self.schema_versions.copy(), self.events.copy()
        generations, halts = self.generations.copy(), self.halts.copy()
        replacements, decisions = self.replacements.copy(), self.decisions.copy()
        hints, last_hints = self.hints.copy(), self.last_hints.copy()
        listed_from, settled = self.listed_from.copy(), self.settled.copy()
        try:
            yield
            self._count_what_was_loaded(files)
        except BaseException:
            self.files, self.batches, self.scans = files, batches, scans
            self.runs, self.refreshes = runs, refreshes
            self.schema_versions, self.events = schema_versions, events
            self.generations, self.halts = generations, halts
            self.replacements, self.decisions = replacements, decisions
            self.hints, self.last_hints = hints, last_hints
            self.listed_from, self.settled = listed_from, settled
            raise

    def _count_what_was_loaded(self, before: Mapping[FileId, FileRow]) -> None:
        """As the triggers of migration 0028."""
        changed = {
            at[:2] for at, row in before.items() if row.state in LOADED_FILE_STATES and self.files.get(at) is not row
        }
        for of in changed:
            self.epochs[of] = self.epochs.get(of, 0) + 1

    # --- what the parts share: the SQL of ingestions.py, planned.py and run_log.py, by other means ------------

    def is_free(self, lease_until: datetime | None) -> bool:
        return lease_until is None or lease_until < self.clock()

    def is_live(self, row: "ScanRow | RunRow") -> bool:
        return row.generation >= self.generations.get(row.ingestion_id, 0)

    def hold_generation(self, ingestion_id: IngestionId, generation: int) -> None:
        live = self.generations.setdefault(ingestion_id, generation)
        if live != generation:
            raise Fenced(f"generation {generation} of ingestion {ingestion_id}: {live} has begun")

    def begin_generation(self, ingestion_id: IngestionId, generation: int) -> None:
        if self.generations.get(ingestion_id, generation) > generation:
            raise Fenced(f"generation {generation} of ingestion {ingestion_id}")
        self.generations[ingestion_id] = generation

    def hints_of(self, ingestion_id: IngestionId) -> list[tuple[int, Hint]]:
        """What notifications named and no scan has looked at, by number."""
        mine = [found for (of, _), found in self.hints.items() if of == ingestion_id]
        return sorted(mine, key=lambda found: found[0])

    def live(self, claim: ScanClaim | BatchClaim, digest: bytes) -> FileId | None:
        """The one live version of a key (the unique index); not those that it was taken beside."""
        found = [
            at
            for at, row in self.files.items()
            if at[:3] == (claim.ingestion_id, claim.generation, digest)
            and row.state in LIVE_FILE_STATES
            and not row.overwritten
        ]
        assert len(found) <= 1, "a key has two live versions"
        return found[0] if found else None

    def loaded(self, claim: ScanClaim | BatchClaim, digest: bytes) -> list[FileId]:
        """All versions of a key whose rows are there."""
        return [
            at
            for at, row in self.files.items()
            if at[:3] == (claim.ingestion_id, claim.generation, digest) and row.state in LOADED_FILE_STATES
        ]

    def bad_of(self, at: FileId) -> tuple[BadRecords, BatchId] | None:
        """The bad records of a version that is in a batch, and the batch that set them aside."""
        batch_id = self.files[at].batch_id
        return self.batches[batch_id].bad_of(at) if batch_id in self.batches else None

    def create_batch(
        self,
        claim: ScanClaim | BatchClaim,
        planned: PlannedBatch,
        *,
        taken_from: FileState,
        replaces: BatchId | None = None,
    ) -> None:
        self.hold_generation(claim.ingestion_id, claim.generation)
        self.batches[planned.id] = BatchRow(
            id=planned.id,
            run_id=claim.run_id,
            ingestion_id=claim.ingestion_id,
            generation=claim.generation,
            file_count=len(planned.files),
            size_bytes=planned.size_bytes,
            updated_at=self.clock(),
            replaces=replaces,
            replaces_rows=planned.replaces_rows,
        )
        if not planned.replaces_rows:
            self._move_files(claim, planned, taken_from)
        elif replaces is None:
            replacements.plan(self, claim, planned)
        else:
            replacements.carry_on(self, planned, replaces)
        self.events.append(
            FileBatchPlanned(
                batch_id=planned.id,
                run_id=claim.run_id,
                ingestion_id=claim.ingestion_id,
                generation=claim.generation,
                file_count=len(planned.files),
                size_bytes=planned.size_bytes,
            )
        )

    def _move_files(self, claim: ScanClaim | BatchClaim, planned: PlannedBatch, taken_from: FileState) -> None:
        moved = {at for f in planned.files if (at := self.live(claim, f.digest)) and self.files[at].state == taken_from}
        if len(moved) != len(planned.files):
            raise Fenced(f"a file of batch {planned.id}")
        for at in moved:
            self.files[at] = replace(
                self.files[at], state=FileState.BATCHED, batch_id=planned.id, run_id=claim.run_id, problem=None
            )

    def let_wait(self, batch_id: BatchId, problem: Problem | None) -> None:
        """The files that are left in a batch wait for another run."""
        for at, row in self.files.items():
            if row.batch_id == batch_id and row.state is FileState.BATCHED:
                self.files[at] = replace(
                    row, state=FileState.DISCOVERED, batch_id=None, row_count=None, problem=problem
                )
        replacements.let_go(self, batch_id, problem)

    def log(
        self,
        run_id: RunId,
        fact: Callable[[Header], RunFact],
        *,
        change: Totals | None = None,
        scan_state: ScanState | None = None,
    ) -> None:
        row = self.scans.get(run_id)
        if row is None or row.state is ScanState.ENDED:
            raise Fenced(f"run {run_id}")
        totals = add(row.totals, change or Totals())
        row = replace(row, totals=totals, seq=row.seq + 1, state=scan_state or row.state)
        self.events.append(fact(self._header(row)))
        if is_over(row.state, totals):
            is_outlived = self.generations.get(row.ingestion_id, row.generation) > row.generation
            end = outcome(
                totals,
                scan_failed=row.state is ScanState.BROKEN,
                cancelled=is_outlived or row.is_cancelled,
                aborted=row.is_aborted,
            )
            row = replace(row, seq=row.seq + 1, state=ScanState.ENDED, outcome=end)
            self.events.append(RunCompleted(**self._header(row).fields(), outcome=end))
        self.scans[run_id] = row

    def _header(self, row: ScanRow) -> Header:
        return Header(row.run_id, row.ingestion_id, row.generation, row.seq, self.clock(), row.totals)
