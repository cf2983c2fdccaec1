"""Takes in what the executor says of refreshes: one transaction per fact.

The fact that the new table is ready moves the ingestion to its new generation, ends the runs of the old one that
nobody will ever begin, and asks for the refresh's run: all of it or nothing. The same fact twice changes nothing.
"""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import RefreshMode, RunCompleted, TableRefreshed, TableRefreshFailed, Totals
from libs.common.contracts.scope import Scope
from libs.common.ledger.outlived import why_ended
from libs.common.logs import get_logger
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.ingestions import repository as ingestions
from services.api.plans import repository as plans
from services.api.refresh import repository
from services.api.refresh.deletion import DELETES
from services.api.refresh.foresight import foreseen
from services.api.runs import projection
from services.api.runs import repository as runs
from services.api.runs.beginning import NewRun, standing_of, store_new
from services.api.runs.folding import fold
from services.api.runs.states import tell_state

_log = get_logger(__name__)


class RefreshProjector:
    """Handles the messages of the table-status topic."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def on_refreshed(self, envelope: Envelope) -> None:
        fact = envelope.message
        assert isinstance(fact, TableRefreshed)
        async with self._database.begin() as connection:
            await runs.lock_ingestion(connection, fact.ingestion_id)
            row = await repository.get(connection, fact.refresh_id)
            if row is None or row.ended_at is not None:
                return
            building = row.id if fact.builds is not None else None
            of = await repository.begin_generation(connection, fact.ingestion_id, fact.to_generation, building)
            if row.mode == "swap":
                for moved in await runs.move_on(connection, of):
                    await tell_state(connection, self._outbox, moved)
            await self._end_what_never_began(connection, fact, row.mode)
            run_id = await self._run(connection, of, row) if row.auto_run else None
            if row.mode in DELETES:
                await ingestions.forget(connection, fact.ingestion_id)
            await repository.change(
                connection,
                fact.refresh_id,
                status="success",
                phase="ended",
                problem=None,
                kept_as=fact.kept_as,
                files_loaded_before=fact.files_loaded_before,
                files_kept=fact.files_kept,
                builds=fact.builds,
                replaced_snapshot=fact.replaced_snapshot,
                row_count=fact.rows,
                run_id=run_id,
                told_at=fact.occurred_at,
                ended_at=fact.occurred_at,
            )
            if row.mode == "swap":
                await runs.dispatch_queued(connection, self._outbox, fact.ingestion_id)
        _log.info("refresh.ended", refresh_id=str(fact.refresh_id), generation=fact.to_generation)

    async def on_failed(self, envelope: Envelope) -> None:
        fact = envelope.message
        assert isinstance(fact, TableRefreshFailed)
        async with self._database.begin() as connection:
            values: dict[str, Any] = {
                "problem": fact.problem.model_dump(mode="json"),
                "phase": fact.phase,
                "told_at": fact.occurred_at,
            }
            if fact.is_over:
                values |= {"status": "failed", "ended_at": fact.occurred_at}
            await repository.change(connection, fact.refresh_id, **values)
        _log.warning("refresh.failed", refresh_id=str(fact.refresh_id), code=fact.problem.error_type)

    async def _end_what_never_began(self, connection: AsyncConnection, fact: TableRefreshed, mode: RefreshMode) -> None:
        """A scanner that comes for them now is fenced. Those that began are ended by the executor."""
        reason = why_ended(mode, fact.to_generation, had_begun=False)
        for row in await repository.runs_that_never_began(connection, fact.ingestion_id, fact.to_generation):
            end = RunCompleted(
                run_id=row.id,
                ingestion_id=fact.ingestion_id,
                generation=row.generation,
                seq=row.seq + 1,
                occurred_at=fact.occurred_at,
                totals=Totals(),
                outcome="cancelled",
            )
            await projection.add_details(connection, row.id, (), (reason,), fact.occurred_at)
            await fold(connection, self._outbox, [end])

    async def _run(self, connection: AsyncConnection, of: Any, refresh: Any) -> Any:
        """The refresh's run. It waits while a run of the old generation is not over, or the ingestion is paused."""
        standing = await standing_of(connection, of.id)
        may_begin = standing.lanes["fresh"].active is None and of.status != "paused"
        new = NewRun("refresh", predicted=foreseen(refresh.impact))
        if refresh.plan_id is not None:
            predicted = await plans.predicted_by(connection, refresh.plan_id)
            new = NewRun("refresh", scope=Scope(plan_id=refresh.plan_id), predicted=predicted)
        return await store_new(connection, self._outbox, of, new, is_sent=may_begin, now=standing.now)
