"""The refresh's part of the ledger in memory."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from libs.common.contracts.events import (
    Problem,
    RefreshPhase,
    RefreshTable,
    ScanFailed,
    TableRefreshed,
    TableRefreshFailed,
)
from libs.common.errors import Fenced
from libs.common.ids import IngestionId, RefreshId
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.refreshes import RefreshClaim
from libs.common.ledger.states import FINAL_BATCH_STATES, LOADED_FILE_STATES, BatchState, FileState, ScanState
from tests.support.memory_ledger.rows import FileRow
from tests.support.memory_ledger.swaps import kept_for, record_whole, renumber
from tests.support.memory_ledger.tables import RefreshRow, Tables


class MemoryRefreshLedger:
    """As ``libs.common.ledger.refreshes.RefreshLedger``."""

    def __init__(self, tables: Tables, *, owner: str, lease: timedelta) -> None:
        self._tables = tables
        self._owner = owner
        self._lease = lease

    async def remember(self, command: RefreshTable) -> None:
        async with self._tables.transaction():
            id_ = RefreshId(command.refresh_id)
            first = RefreshRow(
                id=id_,
                ingestion_id=IngestionId(command.ingestion_id),
                mode=command.mode,
                from_generation=command.from_generation,
                to_generation=command.to_generation,
                undoes=RefreshId(command.undoes) if command.undoes else None,
                strategy=command.strategy,
                completes=RefreshId(command.completes) if command.completes else None,
            )
            row = self._tables.refreshes.setdefault(id_, first)
            if row.phase == "ended":
                self._tell_the_end(row)

    async def claim(self, refresh_id: RefreshId) -> RefreshClaim | None:
        async with self._tables.transaction():
            row = self._tables.refreshes.get(refresh_id)
            if row is None or not self._is_unclaimed(row):
                return None
            row = replace(
                row, token=row.token + 1, attempts=row.attempts + 1, owner=self._owner, lease_until=self._fresh()
            )
            self._tables.refreshes[refresh_id] = row
        return row.claimed(kept_for(self._tables, row))

    async def claimable(self, *, limit: int) -> list[RefreshId]:
        async with self._tables.transaction():
            return [row.id for row in self._tables.refreshes.values() if self._is_unclaimed(row)][:limit]

    async def phase(self, claim: RefreshClaim) -> RefreshPhase:
        async with self._tables.transaction():
            return self._move(claim).phase

    async def extend(self, claim: RefreshClaim) -> None:
        async with self._tables.transaction():
            row = self._tables.refreshes.get(claim.id)
            if row is None or row.token != claim.token:
                raise Fenced(f"refresh {claim.id}")
            if row.phase != "ended":
                self._move(claim)

    async def release(self, claim: RefreshClaim) -> None:
        async with self._tables.transaction():
            try:
                self._move(claim, lease_until=None)
            except Fenced:
                return

    async def fence(self, claim: RefreshClaim) -> None:
        async with self._tables.transaction():
            self._move(claim, phase="fenced")
            self._tables.begin_generation(claim.ingestion_id, claim.to_generation)

    async def break_off_scans(self, claim: RefreshClaim) -> None:
        async with self._tables.transaction():
            for row in list(self._tables.scans.values()):
                is_old = row.ingestion_id == claim.ingestion_id and row.generation < claim.to_generation
                if is_old and row.state is ScanState.SCANNING:
                    self._tables.scans[row.run_id] = replace(row, token=row.token + 1, lease_until=None)
                    self._tables.log(
                        row.run_id,
                        lambda h: ScanFailed(**h.fields(), problem=claim.reason),
                        scan_state=ScanState.BROKEN,
                    )

    async def seize(self, claim: RefreshClaim) -> BatchClaim | None:
        async with self._tables.transaction():
            self._move(claim)
            for row in self._tables.batches.values():
                is_old = row.ingestion_id == claim.ingestion_id and row.generation < claim.to_generation
                if is_old and row.state not in FINAL_BATCH_STATES:
                    break
            else:
                return None
            row = replace(
                row,
                token=row.token + 1,
                attempts=row.attempts + 1,
                state=BatchState.BURNING,
                owner=self._owner,
                lease_until=self._fresh(),
                updated_at=self._tables.clock(),
            )
            self._tables.batches[row.id] = row
        return BatchClaim(
            row.id, row.run_id, row.ingestion_id, row.generation, row.token, row.attempts, row.replaces_rows
        )

    async def reached(self, claim: RefreshClaim, phase: RefreshPhase, **found: Any) -> None:
        async with self._tables.transaction():
            self._move(claim, phase=phase, **found)

    async def carry_history(self, claim: RefreshClaim) -> None:
        async with self._tables.transaction():
            done = self._move(claim, phase="carried")
            if claim.kept is not None:
                renumber(self._tables, claim, claim.kept.generation)
                if claim.replaces_all:
                    record_whole(self._tables, claim, done)
            elif claim.mode == "new_only":
                for (_, _, digest, tag), row in self._loaded(claim.ingestion_id, claim.from_generation):
                    at = (claim.ingestion_id, claim.to_generation, digest, tag)
                    carried = FileRow(row.version, FileState.BASELINE, row.run_id, overwritten=row.overwritten)
                    self._tables.files.setdefault(at, carried)

    async def end(self, claim: RefreshClaim) -> None:
        async with self._tables.transaction():
            row = self._move(claim, phase="ended", lease_until=None, told_problem=None)
            self._tables.halts.pop(claim.ingestion_id, None)
            self._tell_the_end(row)

    async def tell(self, claim: RefreshClaim, problem: Problem, *, may_pass: bool = False) -> None:
        async with self._tables.transaction():
            before = self._move(claim)
            is_over = before.phase == "requested" and not (may_pass and claim.mode == "swap")
            values: dict[str, Any] = {"told_problem": problem.error_type, "last_error": problem.message}
            if is_over:
                values |= {"phase": "ended", "lease_until": None}
            self._move(claim, **values)
            if is_over or before.told_problem != problem.error_type:
                self._tell_failure(before, problem, is_over=is_over)

    def _tell_the_end(self, row: RefreshRow) -> None:
        if row.told_problem is not None:
            problem = Problem(error_type=row.told_problem, message=row.last_error or "")
            self._tell_failure(row, problem, is_over=True)
            return
        self._tables.events.append(
            TableRefreshed(
                refresh_id=row.id,
                ingestion_id=row.ingestion_id,
                from_generation=row.from_generation,
                to_generation=row.to_generation,
                occurred_at=self._tables.clock(),
                kept_as=row.kept_as,
                files_loaded_before=len(self._loaded(row.ingestion_id, row.from_generation)),
                files_kept=len(self._loaded(row.ingestion_id, row.to_generation)),
                builds=row.builds,
                replaced_snapshot=row.replaced_snapshot,
                rows=row.row_count,
            )
        )

    def _tell_failure(self, row: RefreshRow, problem: Problem, *, is_over: bool) -> None:
        self._tables.events.append(
            TableRefreshFailed(
                refresh_id=row.id,
                ingestion_id=row.ingestion_id,
                occurred_at=self._tables.clock(),
                phase="requested" if is_over else row.phase,
                problem=problem,
                is_over=is_over,
            )
        )

    def _loaded(self, ingestion_id: IngestionId, generation: int) -> list[tuple[Any, FileRow]]:
        """What a generation had loaded."""
        return [
            (at, row)
            for at, row in self._tables.files.items()
            if at[:2] == (ingestion_id, generation) and row.state in LOADED_FILE_STATES
        ]

    def _is_unclaimed(self, row: RefreshRow) -> bool:
        return row.phase != "ended" and self._tables.is_free(row.lease_until)

    def _fresh(self) -> datetime:
        return self._tables.clock() + self._lease

    def _move(self, claim: RefreshClaim, **values: Any) -> RefreshRow:
        row = self._tables.refreshes.get(claim.id)
        if row is None or row.token != claim.token or row.phase == "ended":
            raise Fenced(f"refresh {claim.id}")
        row = replace(row, **{"lease_until": self._fresh(), **values})
        self._tables.refreshes[claim.id] = row
        return row
