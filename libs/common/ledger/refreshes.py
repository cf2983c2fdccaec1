"""The ledger as a refresh uses it: claim the refresh, fence off the old generation, end it, begin the new one.

Each phase is one guarded UPDATE, so a refresh whose executor died goes on where it was.
``services/executor/refresh.py`` says what is done in each phase, docs/explanation/refresh.md why it is safe.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import (
    Problem,
    RefreshPhase,
    RefreshTable,
    ScanFailed,
    TableRefreshed,
    TableRefreshFailed,
)
from libs.common.contracts.topics import TABLE_STATUS
from libs.common.errors import Fenced
from libs.common.ids import BatchId, IngestionId, RefreshId, RunId
from libs.common.ledger.batch_claims import BatchClaims
from libs.common.ledger.histories import FILES_AT_ONCE, Position, carry, count_loaded
from libs.common.ledger.ingestions import begin_generation, lift_halt
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.refreshes import RefreshClaim
from libs.common.ledger.run_log import RunLog
from libs.common.ledger.states import FINAL_BATCH_STATES, ScanState
from libs.common.ledger.swaps import begin_whole, end_whole, kept_for
from libs.common.ledger.tables import batch, refresh, scan, storable
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox


class RefreshLedger:
    """Guards one executor's claims. ``owner`` names the process in the tables; the lease is on the database clock."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        *,
        owner: str,
        lease: timedelta,
        files_at_once: int = FILES_AT_ONCE,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._log = RunLog(outbox)
        self._batches = BatchClaims(owner, lease)
        self._owner = owner
        self._lease = lease
        self._files_at_once = files_at_once

    async def remember(self, command: RefreshTable) -> None:
        """Writes the refresh down when its command comes. If it has ended, the command came again because nobody heard
        of the end: then that is told again."""
        async with self._database.begin() as connection:
            await connection.execute(
                insert(refresh)
                .values(
                    id=command.refresh_id,
                    ingestion_id=command.ingestion_id,
                    mode=command.mode,
                    from_generation=command.from_generation,
                    to_generation=command.to_generation,
                    undoes=command.undoes,
                    strategy=command.strategy,
                    completes=command.completes,
                    phase="requested",
                )
                .on_conflict_do_nothing()
            )
            row = (await connection.execute(select(refresh).where(refresh.c.id == command.refresh_id))).one()
            if row.phase == "ended":
                await self._tell_the_end(connection, row)

    async def claim(self, refresh_id: RefreshId) -> RefreshClaim | None:
        """The right to work on this refresh; None while somebody else holds it, or when it has ended."""
        async with self._database.begin() as connection:
            row = (
                await connection.execute(
                    update(refresh)
                    .where(refresh.c.id == refresh_id, refresh.c.phase != "ended", _UNLEASED)
                    .values(
                        token=refresh.c.token + 1, attempts=refresh.c.attempts + 1, owner=self._owner, **self._fresh()
                    )
                    .returning(refresh)
                )
            ).one_or_none()
            if row is None:
                return None
            kept = await kept_for(connection, row)
        return RefreshClaim(
            id=refresh_id,
            ingestion_id=IngestionId(row.ingestion_id),
            mode=row.mode,
            from_generation=row.from_generation,
            to_generation=row.to_generation,
            token=row.token,
            attempt=row.attempts,
            kept=kept,
            strategy=row.strategy,
        )

    async def claimable(self, *, limit: int) -> list[RefreshId]:
        """Refreshes that nobody works on, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.scalars(
                select(refresh.c.id)
                .where(refresh.c.phase != "ended", _UNLEASED)
                .order_by(refresh.c.created_at)
                .limit(limit)
            )
            return [RefreshId(found) for found in rows]

    async def phase(self, claim: RefreshClaim) -> RefreshPhase:
        """How far the refresh is. Raises ``Fenced`` when the claim is lost."""
        async with self._database.begin() as connection:
            phase: RefreshPhase = (await self._move(connection, claim)).phase
        return phase

    async def extend(self, claim: RefreshClaim) -> None:
        """Heartbeat: a full lease from now. Raises ``Fenced`` when the claim is lost; does nothing when this claim has
        ended the refresh itself meanwhile."""
        async with self._database.begin() as connection:
            try:
                await self._move(connection, claim)
            except Fenced:
                token = await connection.scalar(select(refresh.c.token).where(refresh.c.id == claim.id))
                if token != claim.token:
                    raise

    async def release(self, claim: RefreshClaim) -> None:
        """Gives the refresh back at once, for the next executor; does nothing when the claim is lost already. What
        failed is left to the end of its lease instead: that is the pause before the next attempt."""
        async with self._database.begin() as connection:
            try:
                await self._move(connection, claim, lease_until=None)
            except Fenced:
                return

    async def fence(self, claim: RefreshClaim) -> None:
        """From the commit on nothing of the old generation can be planned or begin to be published (I6)."""
        async with self._database.begin() as connection:
            await self._move(connection, claim, phase="fenced")
            await begin_generation(connection, claim.ingestion_id, claim.to_generation)

    async def break_off_scans(self, claim: RefreshClaim) -> None:
        """Ends the listings of the old generation. In a transaction of its own: a scanner locks its scan before the
        ingestion, and ``fence`` locks the ingestion."""
        async with self._database.begin() as connection:
            broken = await connection.scalars(
                update(scan)
                .where(
                    scan.c.ingestion_id == claim.ingestion_id,
                    scan.c.generation < claim.to_generation,
                    scan.c.state == ScanState.SCANNING,
                )
                .values(token=scan.c.token + 1, lease_until=None)
                .returning(scan.c.run_id)
            )
            for run_id in broken.all():
                await self._log.record(
                    connection,
                    RunId(run_id),
                    lambda h: ScanFailed(**h.fields(), problem=claim.reason),
                    scan_state=ScanState.BROKEN,
                )

    async def seize(self, claim: RefreshClaim) -> BatchClaim | None:
        """Takes one unfinished batch of the old generation away from whoever works on it; None if all have ended."""
        async with self._database.begin() as connection:
            await self._move(connection, claim)
            found = (
                await connection.execute(
                    select(batch.c.id)
                    .where(
                        batch.c.ingestion_id == claim.ingestion_id,
                        batch.c.generation < claim.to_generation,
                        batch.c.state.not_in(FINAL_BATCH_STATES),
                    )
                    .order_by(batch.c.created_at)
                    .limit(1)
                    .with_for_update()
                )
            ).one_or_none()
            if found is None:
                return None
            return await self._batches.seize(connection, BatchId(found.id))

    async def reached(self, claim: RefreshClaim, phase: RefreshPhase, **found: Any) -> None:
        """The phase's work is done. ``found`` goes into the columns of ``ledger.refresh`` of these names."""
        async with self._database.begin() as connection:
            await self._move(connection, claim, phase=phase, **found)

    async def carry_history(self, claim: RefreshClaim) -> None:
        """What the new generation begins with. Doing it twice changes nothing.

        New-only: what the old one had loaded counts as loaded, as its baseline: those rows are not in the new table.
        Undo: the history of the table that came back comes back with it, whole; what the ledger says of its files and
        batches is true of the table that holds them, whatever its generation is called.
        Swap, and its undo: as undo, and the snapshot that holds all of the rows stands for the batches they came in.
        """
        part: Position | None = None
        while True:
            async with self._database.begin() as connection:
                row = await self._move(connection, claim)
                if claim.replaces_all:
                    await begin_whole(connection, claim, row)
                part = await carry(connection, claim, after=part, limit=self._files_at_once)
                if part is None:
                    if claim.replaces_all:
                        await end_whole(connection, claim)
                    await self._move(connection, claim, phase="carried")
                    return

    async def end(self, claim: RefreshClaim) -> None:
        """The last update, with the fact that makes the ingestion active again."""
        async with self._database.begin() as connection:
            row = await self._move(connection, claim, phase="ended", lease_until=None, told_problem=None)
            await lift_halt(connection, claim.ingestion_id)
            await self._tell_the_end(connection, row)

    async def tell(self, claim: RefreshClaim, problem: Problem, *, may_pass: bool = False) -> None:
        """Says why the refresh is not done: once for each reason. Before the fence that is its end, and nothing was
        changed; after it the refresh stays, and a sweeper tries again. A swap, for which nobody is there to ask again,
        also stays before the fence if the trouble ``may_pass`` by itself."""
        async with self._database.begin() as connection:
            before = await self._move(connection, claim)
            is_over = before.phase == "requested" and not (may_pass and claim.mode == "swap")
            values: dict[str, Any] = {"told_problem": problem.error_type, "last_error": storable(problem.message)}
            if is_over:
                values |= {"phase": "ended", "lease_until": None}
            await self._move(connection, claim, **values)
            if is_over or before.told_problem != problem.error_type:
                await self._tell_failure(connection, before, problem, is_over=is_over)

    async def _tell_the_end(self, connection: AsyncConnection, row: Any) -> None:
        if row.told_problem is not None:
            problem = Problem(error_type=row.told_problem, message=row.last_error or "")
            await self._tell_failure(connection, row, problem, is_over=True)
            return
        loaded = await count_loaded(connection, row.ingestion_id, row.from_generation)
        kept = await count_loaded(connection, row.ingestion_id, row.to_generation)
        await self._outbox.enqueue(
            connection,
            TABLE_STATUS,
            TableRefreshed(
                refresh_id=row.id,
                ingestion_id=row.ingestion_id,
                from_generation=row.from_generation,
                to_generation=row.to_generation,
                occurred_at=await _now(connection),
                kept_as=row.kept_as,
                files_loaded_before=loaded,
                files_kept=kept,
                builds=row.builds,
                replaced_snapshot=row.replaced_snapshot,
                rows=row.row_count,
            ),
        )

    async def _tell_failure(self, connection: AsyncConnection, row: Any, problem: Problem, *, is_over: bool) -> None:
        await self._outbox.enqueue(
            connection,
            TABLE_STATUS,
            TableRefreshFailed(
                refresh_id=row.id,
                ingestion_id=row.ingestion_id,
                occurred_at=await _now(connection),
                phase="requested" if is_over else row.phase,
                problem=problem,
                is_over=is_over,
            ),
        )

    def _fresh(self) -> dict[str, Any]:
        return {"lease_until": func.clock_timestamp() + self._lease, "updated_at": func.clock_timestamp()}

    async def _move(self, connection: AsyncConnection, claim: RefreshClaim, **values: Any) -> Any:
        """The guarded UPDATE: the claim's token, an unfinished refresh, and a fresh lease."""
        row = (
            await connection.execute(
                update(refresh)
                .where(refresh.c.id == claim.id, refresh.c.token == claim.token, refresh.c.phase != "ended")
                .values(**{**self._fresh(), **values})
                .returning(refresh)
            )
        ).one_or_none()
        if row is None:
            raise Fenced(f"refresh {claim.id}")
        return row


_UNLEASED = or_(refresh.c.lease_until.is_(None), refresh.c.lease_until < func.clock_timestamp())


async def _now(connection: AsyncConnection) -> Any:
    return (await connection.execute(select(func.clock_timestamp()))).scalar_one()
