"""The ledger in memory: what scanner and executor can see of it is what Postgres shows them.

    ledger = MemoryLedger(clock)
    claim = await ledger.scanner(owner="s1").claim(run, ingestion, 1)
    batch = await ledger.executor(owner="e1").claim(batch_id)

``tests/contract/ledger`` runs one suite on this one and on Postgres. Rows are frozen and replaced, so a transaction
that raises leaves nothing behind. Each method is atomic; it gives way to others once, before it begins. Time is
the injected clock. The tables (``files``, ``batches``, ``scans``, ``schema_versions``) and the messages that were
enqueued (``events``) are there to be looked at.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from libs.common.clock import Clock, utc_now
from libs.common.contracts.events import (
    FileBatchCommitted,
    FileBatchFailed,
    FileBatchPlanned,
    Message,
    Problem,
    RunCompleted,
    RunFact,
    ScanCompleted,
    ScanFailed,
    ScanProgress,
    ScanStarted,
    Totals,
)
from libs.common.errors import Fenced, Temporary
from libs.common.ids import BatchId, IngestionId, RunId, new_batch_id
from libs.common.ledger.model import (
    BatchClaim,
    BurnVerdict,
    Column,
    Doubts,
    FileVersion,
    KnownVersion,
    Page,
    PlannedBatch,
    PublishedBatch,
    ScanClaim,
    Standing,
    in_parts,
)
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX, Header, add, is_over
from libs.common.ledger.states import FINAL_BATCH_STATES, LIVE_FILE_STATES, BatchState, FileState, ScanState
from libs.common.lifecycle.run import outcome

LEASE = timedelta(seconds=30)

FileId = tuple[IngestionId, int, bytes, str]
"""Ingestion, generation, key digest, version tag."""


@dataclass(frozen=True, slots=True)
class FileRow:
    version: FileVersion
    state: FileState
    run_id: RunId
    batch_id: BatchId | None = None
    row_count: int | None = None
    problem: Problem | None = None


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
    may_be_staged: bool = False
    snapshot_id: int | None = None
    row_count: int | None = None
    publish_base: int | None = None
    replaces: BatchId | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class ScanRow:
    run_id: RunId
    ingestion_id: IngestionId
    generation: int
    state: ScanState = ScanState.SCANNING
    token: int = 0
    attempts: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    seq: int = 0
    totals: Totals = field(default_factory=Totals)
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    version: int
    columns: tuple[Column, ...]
    batch_id: BatchId
    cause_key: str | None


class MemoryLedger:
    """The tables. Scanners and executors, any number of each, work on them through ``scanner`` and ``executor``.

    While ``away`` is true every call raises what an absent database raises.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self.clock = clock
        self.away = False
        self.files: dict[FileId, FileRow] = {}
        self.batches: dict[BatchId, BatchRow] = {}
        self.scans: dict[RunId, ScanRow] = {}
        self.schema_versions: dict[tuple[IngestionId, int], tuple[SchemaVersion, ...]] = {}
        self.generations: dict[IngestionId, int] = {}
        self.halts: dict[IngestionId, Problem] = {}
        self.events: list[Message] = []

    def scanner(self, *, owner: str = "scanner", lease: timedelta = LEASE) -> "MemoryScanLedger":
        return MemoryScanLedger(self, owner=owner, lease=lease)

    def executor(self, *, owner: str = "executor", lease: timedelta = LEASE) -> "MemoryBatchLedger":
        return MemoryBatchLedger(self, owner=owner, lease=lease)

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
        schema_versions, events = self.schema_versions.copy(), self.events.copy()
        generations, halts = self.generations.copy(), self.halts.copy()
        try:
            yield
        except BaseException:
            self.files, self.batches, self.scans = files, batches, scans
            self.schema_versions, self.events = schema_versions, events
            self.generations, self.halts = generations, halts
            raise

    async def begin_generation(self, ingestion_id: IngestionId, generation: int) -> None:
        """As ``libs.common.ledger.ingestions.begin_generation``, in a transaction of its own."""
        async with self.transaction():
            if self.generations.get(ingestion_id, generation) > generation:
                raise Fenced(f"generation {generation} of ingestion {ingestion_id}")
            self.generations[ingestion_id] = generation

    # --- what the two halves share: the SQL of scans.py and run_log.py, by other means ------------------------

    def is_free(self, lease_until: datetime | None) -> bool:
        return lease_until is None or lease_until < self.clock()

    def hold_generation(self, ingestion_id: IngestionId, generation: int) -> None:
        live = self.generations.setdefault(ingestion_id, generation)
        if live != generation:
            raise Fenced(f"generation {generation} of ingestion {ingestion_id}: {live} has begun")

    def live(self, claim: ScanClaim | BatchClaim, digest: bytes) -> FileId | None:
        """The one live version of a key (the unique index)."""
        found = [
            at
            for at, row in self.files.items()
            if at[:3] == (claim.ingestion_id, claim.generation, digest) and row.state in LIVE_FILE_STATES
        ]
        assert len(found) <= 1, "a key has two live versions"
        return found[0] if found else None

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
        )
        moved = {at for f in planned.files if (at := self.live(claim, f.digest)) and self.files[at].state == taken_from}
        if len(moved) != len(planned.files):
            raise Fenced(f"a file of batch {planned.id}")
        for at in moved:
            self.files[at] = replace(
                self.files[at], state=FileState.BATCHED, batch_id=planned.id, run_id=claim.run_id, problem=None
            )
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
            end = outcome(totals, scan_failed=row.state is ScanState.BROKEN, cancelled=is_outlived)
            row = replace(row, seq=row.seq + 1, state=ScanState.ENDED, outcome=end)
            self.events.append(RunCompleted(**self._header(row).fields(), outcome=end))
        self.scans[run_id] = row

    def _header(self, row: ScanRow) -> Header:
        return Header(row.run_id, row.ingestion_id, row.generation, row.seq, self.clock(), row.totals)


class MemoryScanLedger:
    """As ``libs.common.ledger.scans.ScanLedger``."""

    def __init__(self, tables: MemoryLedger, *, owner: str, lease: timedelta) -> None:
        self._tables = tables
        self._owner = owner
        self._lease = lease

    async def claim(self, run_id: RunId, ingestion_id: IngestionId, generation: int) -> ScanClaim | None:
        async with self._tables.transaction():
            self._tables.hold_generation(ingestion_id, generation)
            scans = self._tables.scans
            row = scans.setdefault(run_id, ScanRow(run_id, ingestion_id, generation))
            if row.state is not ScanState.SCANNING or not self._tables.is_free(row.lease_until):
                return None
            row = replace(row, token=row.token + 1, attempts=row.attempts + 1, owner=self._owner)
            scans[run_id] = replace(row, lease_until=self._fresh())
            self._tables.log(run_id, lambda h: ScanStarted(**h.fields(), attempt=row.attempts))
        return ScanClaim(run_id, ingestion_id, generation, row.token, row.attempts)

    async def halt_of(self, claim: ScanClaim) -> Problem | None:
        async with self._tables.transaction():
            return self._tables.halts.get(claim.ingestion_id)

    async def known(self, claim: ScanClaim, files: Sequence[FileVersion]) -> dict[bytes, tuple[KnownVersion, ...]]:
        async with self._tables.transaction():
            found: dict[bytes, tuple[KnownVersion, ...]] = {}
            wanted = {f.digest for f in files}
            for (ingestion_id, generation, digest, tag), row in self._tables.files.items():
                if (ingestion_id, generation) == (claim.ingestion_id, claim.generation) and digest in wanted:
                    given_up = row.state is FileState.DISCOVERED and row.problem is not None
                    known = KnownVersion(tag, row.state, row.run_id, given_up)
                    found[digest] = (*found.get(digest, ()), known)
        return found

    async def record(self, claim: ScanClaim, page: Page) -> None:
        async with self._tables.transaction():
            self._extend(claim)
            change = self._record(claim, page)
            problems = tuple(r.problem for r in page.refused[:PROBLEMS_IN_AN_EVENT_MAX])
            self._tables.log(claim.run_id, lambda h: ScanProgress(**h.fields(), problems=problems), change=change)

    async def complete(self, claim: ScanClaim, last: Page, warnings: tuple[str, ...]) -> None:
        async with self._tables.transaction():
            self._extend(claim)
            change = self._record(claim, last)
            self._tables.log(
                claim.run_id,
                lambda h: ScanCompleted(**h.fields(), warnings=warnings),
                change=change,
                scan_state=ScanState.SCANNED,
            )

    async def break_off(self, claim: ScanClaim, problem: Problem) -> None:
        async with self._tables.transaction():
            self._extend(claim)
            self._tables.log(
                claim.run_id, lambda h: ScanFailed(**h.fields(), problem=problem), scan_state=ScanState.BROKEN
            )

    async def extend(self, claim: ScanClaim) -> None:
        async with self._tables.transaction():
            row = self._tables.scans.get(claim.run_id)
            if row is None or row.token != claim.token:
                raise Fenced(f"the listing of run {claim.run_id}")
            if self._held(claim):
                self._extend(claim)

    async def release(self, claim: ScanClaim) -> None:
        async with self._tables.transaction():
            if self._held(claim):
                self._tables.scans[claim.run_id] = replace(self._tables.scans[claim.run_id], lease_until=None)

    async def abandoned(self, *, limit: int) -> list[tuple[RunId, IngestionId, int]]:
        async with self._tables.transaction():
            rows = [
                row
                for row in self._tables.scans.values()
                if row.state is ScanState.SCANNING and self._tables.is_free(row.lease_until)
            ]
        return [(row.run_id, row.ingestion_id, row.generation) for row in rows[:limit]]

    def _fresh(self) -> datetime:
        return self._tables.clock() + self._lease

    def _held(self, claim: ScanClaim) -> bool:
        row = self._tables.scans.get(claim.run_id)
        return row is not None and row.token == claim.token and row.state is ScanState.SCANNING

    def _extend(self, claim: ScanClaim) -> None:
        if not self._held(claim):
            raise Fenced(f"the listing of run {claim.run_id}")
        self._tables.scans[claim.run_id] = replace(self._tables.scans[claim.run_id], lease_until=self._fresh())

    def _record(self, claim: ScanClaim, page: Page) -> Totals:
        files, counted_before = self._tables.files, 0
        for digest in page.superseded:
            at = self._tables.live(claim, digest)
            if at is not None and files[at].state is FileState.DISCOVERED:
                counted_before += files[at].run_id == claim.run_id and files[at].problem is None
                files[at] = replace(files[at], state=FileState.SUPERSEDED)
        for f in page.taken:
            self._put(claim, FileRow(f, FileState.DISCOVERED, claim.run_id))
        for refusal in page.refused:
            self._put(claim, FileRow(refusal.file, FileState.FAILED, claim.run_id, problem=refusal.problem))
        for planned in page.batches:
            self._tables.create_batch(claim, planned, taken_from=FileState.DISCOVERED)
        return Totals(
            files_discovered=len(page.taken) + len(page.refused) - counted_before,
            files_failed=len(page.refused),
            files_skipped=page.files_skipped,
            batches_planned=len(page.batches),
        )

    def _put(self, claim: ScanClaim, row: FileRow) -> None:
        at = (claim.ingestion_id, claim.generation, row.version.digest, row.version.version_tag)
        live = self._tables.live(claim, row.version.digest)
        is_taken = live == at and self._tables.files[at].state is not FileState.DISCOVERED
        if is_taken or (live not in (None, at) and row.state in LIVE_FILE_STATES):
            raise Fenced(f"a file that run {claim.run_id} found")
        self._tables.files[at] = row


class MemoryBatchLedger:
    """As ``libs.common.ledger.batches.BatchLedger``; a ``services.executor.ports.Ledger``."""

    def __init__(self, tables: MemoryLedger, *, owner: str, lease: timedelta) -> None:
        self._tables = tables
        self._owner = owner
        self._lease = lease

    async def claim(self, batch_id: BatchId) -> BatchClaim | None:
        async with self._tables.transaction():
            row = self._tables.batches.get(batch_id)
            if row is None or row.state in FINAL_BATCH_STATES or not self._tables.is_free(row.lease_until):
                return None
            row = replace(
                row,
                token=row.token + 1,
                attempts=row.attempts + 1,
                owner=self._owner,
                state=BatchState.BURNING if row.state is BatchState.BURNING else BatchState.LEASED,
                **self._fresh(),
            )
            self._tables.batches[batch_id] = row
        return BatchClaim(row.id, row.run_id, row.ingestion_id, row.generation, row.token, row.attempts)

    async def claimable(self, *, planned_before: timedelta, limit: int) -> list[BatchId]:
        async with self._tables.transaction():
            now = self._tables.clock()
            found = [
                row.id
                for row in self._tables.batches.values()
                if row.state not in FINAL_BATCH_STATES
                and (row.lease_until < now if row.lease_until is not None else row.updated_at < now - planned_before)
            ]
        return found[:limit]

    async def standing(self, claim: BatchClaim) -> Standing:
        async with self._tables.transaction():
            row = self._move(claim)
        return Standing(row.state, row.may_be_staged, row.publish_base, self._tables.halts.get(claim.ingestion_id))

    async def files(self, claim: BatchClaim) -> tuple[FileVersion, ...]:
        async with self._tables.transaction():
            return tuple(sorted((self._tables.files[at].version for at in self._batched(claim)), key=lambda f: f.key))

    async def has_published(self, ingestion_id: IngestionId, generation: int) -> bool:
        async with self._tables.transaction():
            return any(
                (row.ingestion_id, row.generation, row.state) == (ingestion_id, generation, BatchState.PUBLISHED)
                for row in self._tables.batches.values()
            )

    async def extend(self, claim: BatchClaim) -> None:
        async with self._tables.transaction():
            row = self._tables.batches.get(claim.id)
            if row is None or row.token != claim.token:
                raise Fenced(f"batch {claim.id}")
            if row.state not in FINAL_BATCH_STATES:
                self._move(claim)

    async def about_to_stage(self, claim: BatchClaim) -> None:
        async with self._tables.transaction():
            self._move(claim, may_be_staged=True)

    async def staged(self, claim: BatchClaim, rows_by_file: Mapping[bytes, int]) -> None:
        async with self._tables.transaction():
            self._move(claim, state=BatchState.STAGED, row_count=sum(rows_by_file.values()))
            for at in self._batched(claim):
                if (rows := rows_by_file.get(at[2])) is not None:
                    self._tables.files[at] = replace(self._tables.files[at], row_count=rows)

    async def doubts(self, claim: BatchClaim, batches: Collection[str], snapshots: Collection[int]) -> Doubts:
        async with self._tables.transaction():
            rows = self._tables.batches.values()
            known = {str(row.id) for row in rows if row.state is not BatchState.BURNED}
            published = {
                row.snapshot_id
                for row in rows
                if row.ingestion_id == claim.ingestion_id and row.state is BatchState.PUBLISHED and row.snapshot_id
            }
        return Doubts(tuple(sorted(set(batches) - known)), frozenset(published & set(snapshots)))

    async def halt(self, claim: BatchClaim, reason: Problem) -> None:
        async with self._tables.transaction():
            self._move(claim)
            self._tables.halts.setdefault(claim.ingestion_id, reason)

    async def publishing(self, claim: BatchClaim, base: int) -> None:
        async with self._tables.transaction():
            self._tables.hold_generation(claim.ingestion_id, claim.generation)
            self._move(claim, state=BatchState.PUBLISHING, publish_base=base)

    async def published(self, claim: BatchClaim, found: PublishedBatch) -> None:
        async with self._tables.transaction():
            row = self._move(claim, state=BatchState.PUBLISHED, snapshot_id=found.snapshot_id)
            for at in self._batched(claim):
                self._tables.files[at] = replace(self._tables.files[at], state=FileState.COMMITTED)
            records = row.row_count or 0
            self._tables.log(
                claim.run_id,
                lambda h: FileBatchCommitted(
                    **h.fields(),
                    batch_id=claim.id,
                    snapshot_id=found.snapshot_id,
                    files=row.file_count,
                    records=records,
                    size_bytes=row.size_bytes,
                    guarantee=found.guarantee,
                ),
                change=Totals(
                    files_done=row.file_count,
                    batches_done=1,
                    records_ingested=records,
                    bytes_read=row.size_bytes,
                    bytes_written=found.bytes_written,
                    schema_version=self._schema(claim, found),
                ),
            )

    async def burning(self, claim: BatchClaim) -> None:
        async with self._tables.transaction():
            self._move(claim, state=BatchState.BURNING)

    async def burned(self, claim: BatchClaim, verdict: BurnVerdict) -> None:
        async with self._tables.transaction():
            error = verdict.problem.message if verdict.problem else None
            self._move(claim, state=BatchState.BURNED, last_error=error)
            going_on: list[FileVersion] = []
            for at in self._batched(claim):
                row, fate = self._tables.files[at], verdict.fates.get(at[2])
                if fate is None:
                    going_on.append(row.version)
                    continue
                problem = fate.problem or verdict.problem
                self._tables.files[at] = replace(row, state=fate.state, batch_id=None, row_count=None, problem=problem)
            going_on.sort(key=lambda f: f.key)
            new_batches = [PlannedBatch(new_batch_id(), part) for part in in_parts(tuple(going_on), verdict.parts)]
            for planned in new_batches:
                self._tables.create_batch(claim, planned, taken_from=FileState.BATCHED, replaces=claim.id)
            problems = [f.problem for f in verdict.fates.values() if f.problem is not None]
            if verdict.problem is not None:
                problems.insert(0, verdict.problem)
            self._tables.log(
                claim.run_id,
                lambda h: FileBatchFailed(
                    **h.fields(),
                    batch_id=claim.id,
                    problems=tuple(problems[:PROBLEMS_IN_AN_EVENT_MAX]),
                    files_failed=len(verdict.fates),
                    files_replanned=len(going_on),
                ),
                change=Totals(files_failed=len(verdict.fates), batches_done=1, batches_planned=len(new_batches)),
            )

    async def release(self, claim: BatchClaim, *, error: str) -> None:
        async with self._tables.transaction():
            try:
                self._move(claim, last_error=error, lease_until=None)
            except Fenced:
                return

    def _fresh(self) -> dict[str, Any]:
        now = self._tables.clock()
        return {"lease_until": now + self._lease, "updated_at": now}

    def _move(self, claim: BatchClaim, **values: Any) -> BatchRow:
        row = self._tables.batches.get(claim.id)
        if row is None or row.token != claim.token or row.state in FINAL_BATCH_STATES:
            raise Fenced(f"batch {claim.id}")
        row = replace(row, **{**self._fresh(), **values})
        self._tables.batches[claim.id] = row
        return row

    def _batched(self, claim: BatchClaim) -> Iterable[FileId]:
        return [
            at for at, row in self._tables.files.items() if row.batch_id == claim.id and row.state is FileState.BATCHED
        ]

    def _schema(self, claim: BatchClaim, found: PublishedBatch) -> int:
        at = (claim.ingestion_id, claim.generation)
        versions = self._tables.schema_versions.get(at, ())
        if not any(v.columns == found.columns for v in versions):
            versions = (*versions, SchemaVersion(len(versions) + 1, found.columns, claim.id, found.cause_key))
            self._tables.schema_versions[at] = versions
        return versions[-1].version
