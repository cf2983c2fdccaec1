"""The executor's half of the ledger in memory."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from libs.common.contracts.definition import Source
from libs.common.contracts.events import FileBatchCommitted, FileBatchFailed, Problem, ScanFailed, Totals
from libs.common.contracts.scope import Lane
from libs.common.errors import Fenced, Permanent
from libs.common.ids import BatchId, IngestionId, TenantId, new_batch_id
from libs.common.ledger import quarantine
from libs.common.ledger.aborts import ABORTED
from libs.common.ledger.cancellations import CANCELLED, stopped
from libs.common.ledger.model.backlogs import Waiting
from libs.common.ledger.model.batches import (
    BatchClaim,
    BurnVerdict,
    Doubts,
    PlannedBatch,
    PublishedBatch,
    Standing,
    in_parts,
)
from libs.common.ledger.model.columns import Decisions, Proposal
from libs.common.ledger.model.files import BadRecords, FileVersion, Loaded
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState, ScanState
from libs.common.selection.wanted import Wanted
from tests.support.memory_ledger import replacements, watermarks
from tests.support.memory_ledger.rows import FileId
from tests.support.memory_ledger.tables import BatchRow, SchemaVersion, Tables


class MemoryBatchLedger:
    """As ``libs.common.ledger.batches.BatchLedger``; a ``services.executor.ports.Ledger``."""

    def __init__(self, tables: Tables, *, owner: str, lease: timedelta) -> None:
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
                claimed_at=self._tables.clock(),
                state=BatchState.BURNING if row.state is BatchState.BURNING else BatchState.LEASED,
                **self._fresh(),
            )
            self._tables.batches[batch_id] = row
        return BatchClaim(
            row.id, row.run_id, row.ingestion_id, row.generation, row.token, row.attempts, row.replaces_rows
        )

    async def claimable(self, *, planned_before: timedelta, limit: int, lane: Lane = "fresh") -> list[BatchId]:
        """Lanes are the API's, which has no table here: all batches are in the one that is fresh."""
        if lane != "fresh":
            return []
        async with self._tables.transaction():
            now = self._tables.clock()
            found = [
                row.id
                for row in self._tables.batches.values()
                if row.state not in FINAL_BATCH_STATES
                and (row.lease_until < now if row.lease_until is not None else row.updated_at < now - planned_before)
            ]
        return found[:limit]

    async def waiting(self, batch_id: BatchId, *, besides: Collection[BatchId] = ()) -> list[Waiting]:
        """Tenants and lanes are the API's, which has no table here: all batches are one tenant's, in one lane."""
        async with self._tables.transaction():
            rows = [row for row in self._tables.batches.values() if row.state not in FINAL_BATCH_STATES]
            new = [r for r in rows if r.state is BatchState.PLANNED and r.attempts == 0 and r.id not in besides]
            in_work = sum(not self._tables.is_free(row.lease_until) for row in rows)
        return [Waiting(TenantId("t"), in_work, new[0].id, new[0].updated_at)] if new else []

    async def standing(self, claim: BatchClaim) -> Standing:
        async with self._tables.transaction():
            row = self._move(claim)
            halt = self._tables.halts.get(claim.ingestion_id) or self._abort_of(claim)
        return Standing(row.state, row.may_be_staged, row.publish_base, halt)

    async def files(self, claim: BatchClaim) -> tuple[FileVersion, ...]:
        async with self._tables.transaction():
            if claim.replaces_rows:
                return replacements.files_of(self._tables, claim.id)
            return tuple(sorted((self._tables.files[at].version for at in self._batched(claim)), key=lambda f: f.key))

    async def loaded(self, claim: BatchClaim) -> dict[bytes, Loaded]:
        async with self._tables.transaction():
            self._move(claim)
            return replacements.loaded(self._tables, claim)

    async def watermark(self, claim: BatchClaim, source: Source, created_at: datetime) -> datetime | None:
        async with self._tables.transaction():
            return watermarks.with_batch(self._tables, claim, Wanted(source, created_at))

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

    async def staged(
        self, claim: BatchClaim, rows_by_file: Mapping[bytes, int], bad: Mapping[bytes, BadRecords] | None = None
    ) -> bool:
        async with self._tables.transaction():
            before = self._move(claim)
            counts = sum(rows_by_file.values()), sum(found.count for found in (bad or {}).values())
            if before.publish_base is not None and (before.row_count, before.records_quarantined) != counts:
                return False
            by_file = {(digest, ""): found for digest, found in (bad or {}).items()}
            self._move(claim, state=BatchState.STAGED, row_count=sum(rows_by_file.values()), bad=by_file)
            replacements.count_rows(self._tables, claim, rows_by_file)
            for at in self._batched(claim):
                if (rows := rows_by_file.get(at[2])) is not None:
                    self._tables.files[at] = replace(self._tables.files[at], row_count=rows)
        return True

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

    async def decisions(self, claim: BatchClaim) -> Decisions:
        async with self._tables.transaction():
            said = self._tables.decisions.get(claim.ingestion_id, {})
        approved, rejected = (frozenset(c for c, state in said.items() if state == s) for s in ("approved", "rejected"))
        return Decisions(approved, rejected)

    async def propose(self, claim: BatchClaim, proposals: Sequence[Proposal]) -> None:
        async with self._tables.transaction():
            self._move(claim)
            said = self._tables.decisions.get(claim.ingestion_id, {})
            self._tables.decisions[claim.ingestion_id] = {
                **dict.fromkeys((p.column for p in proposals), "held"),
                **said,
            }

    async def halt(self, claim: BatchClaim, reason: Problem) -> None:
        async with self._tables.transaction():
            self._move(claim)
            self._tables.halts.setdefault(claim.ingestion_id, reason)

    async def publishing(self, claim: BatchClaim, base: int) -> None:
        async with self._tables.transaction():
            self._tables.hold_generation(claim.ingestion_id, claim.generation)
            if (reason := self._abort_of(claim)) is not None:
                raise Permanent(reason.message, code=reason.error_type, hint=reason.hint)
            self._move(claim, state=BatchState.PUBLISHING, publish_base=base)

    async def published(self, claim: BatchClaim, found: PublishedBatch) -> None:
        async with self._tables.transaction():
            row = self._move(
                claim, state=BatchState.PUBLISHED, snapshot_id=found.snapshot_id, rows_removed=found.rows_removed
            )
            took = self._tables.clock() - (row.claimed_at or self._tables.clock())
            self._tables.batches[claim.id] = replace(self._tables.batches[claim.id], took=took)
            replacements.commit(self._tables, claim)
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
                    records_quarantined=row.records_quarantined,
                    problems=self._bad_records(row),
                    size_bytes=row.size_bytes,
                    guarantee=found.guarantee,
                    warnings=found.warnings,
                ),
                change=Totals(
                    files_done=row.file_count,
                    batches_done=1,
                    records_ingested=records,
                    records_quarantined=row.records_quarantined,
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
            going_on = replacements.apply(self._tables, claim, verdict)
            for at in self._batched(claim):
                row, fate = self._tables.files[at], verdict.fates.get(at[2])
                if fate is None:
                    going_on.append(row.version)
                    continue
                problem = fate.problem or verdict.problem
                row = replace(row, state=fate.state, batch_id=None, row_count=None, problem=problem)
                self._tables.files[at] = replace(row, missed_at=self._tables.clock())
            scan = self._tables.scans[claim.run_id]
            ends_listing = verdict.aborts and scan.state is ScanState.SCANNING
            if verdict.aborts:
                scan = replace(scan, token=scan.token + 1, lease_until=None, is_aborted=True)
                self._tables.scans[claim.run_id] = scan
            if going_on and (scan.is_cancelled or scan.is_aborted):
                verdict, going_on = stopped(verdict, going_on, CANCELLED if scan.is_cancelled else ABORTED), []
                self._tables.let_wait(claim.id, verdict.problem)
            going_on.sort(key=lambda f: f.key)
            new_batches = [
                PlannedBatch(new_batch_id(), part, claim.replaces_rows)
                for part in in_parts(tuple(going_on), verdict.parts)
            ]
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
            if ends_listing:
                self._tables.log(
                    claim.run_id,
                    lambda h: ScanFailed(**h.fields(), problem=ABORTED),
                    scan_state=ScanState.BROKEN,
                )

    async def release(self, claim: BatchClaim, *, error: str, counts: bool = True) -> None:
        async with self._tables.transaction():
            try:
                row = self._move(claim, last_error=error, lease_until=None)
                if not counts:
                    self._tables.batches[claim.id] = replace(row, attempts=row.attempts - 1)
            except Fenced:
                return

    def _abort_of(self, claim: BatchClaim) -> Problem | None:
        return ABORTED if self._tables.scans[claim.run_id].is_aborted else None

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

    def _bad_records(self, row: BatchRow) -> tuple[Problem, ...]:
        """What the run tells of the batch's files."""
        problems = [
            quarantine.problem(f.version.uri, f.row_count or 0, bad[0])
            for at, f in self._tables.files.items()
            if f.batch_id == row.id and f.state is FileState.COMMITTED and (bad := row.bad_of(at)) is not None
        ]
        return tuple(problems[:PROBLEMS_IN_AN_EVENT_MAX])

    def _schema(self, claim: BatchClaim, found: PublishedBatch) -> int:
        at = (claim.ingestion_id, claim.generation)
        versions = self._tables.schema_versions.get(at, ())
        if not any(v.columns == found.columns for v in versions):
            number = len(versions) + 1
            version = SchemaVersion(number, found.columns, claim.id, found.cause_key, found.evidence, found.mode)
            versions = (*versions, version)
            self._tables.schema_versions[at] = versions
        return versions[-1].version
