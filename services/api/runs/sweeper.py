"""Finds runs that nobody moves, because a message was lost or a process died, and moves them.

Losing a whole topic costs time, never data: everything here is read from Postgres. Sweeps of several API processes
may overlap; each step is safe to repeat.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, String, cast, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.topics import DEFAULT_PREFIX, REQUESTS_OF
from libs.common.ledger.states import BatchState, FileState, ScanState
from libs.common.ledger.tables import batch, file, scan
from libs.common.logs import get_logger
from libs.common.storage.control import idempotency, inbox, ingestion, outbox, run
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.clusters import repository as cluster_checks
from services.api.looking import keep_looking
from services.api.plans import repository as plans
from services.api.runs import projection, repository
from services.api.runs.folding import fold
from services.api.runs.upkeep import Reminders, completion_of, problem_of
from services.api.webhooks import queue as deliveries

KEPT = timedelta(days=7)
"""How long event ids and stored answers are remembered: as long as topics keep their messages."""
_AT_ONCE = 100
_PROBLEMS_MAX = 100
_log = get_logger(__name__)


class Sweeper:
    """One sweep every ``interval``, for as long as the process lives."""

    def __init__(
        self,
        database: Database,
        announcements: Outbox,
        *,
        interval: timedelta,
        topic_prefix: str = DEFAULT_PREFIX,
    ) -> None:
        self._database = database
        self._outbox = announcements
        self._interval = interval
        self._request_topics = [topic.name(topic_prefix) for topic in REQUESTS_OF.values()]
        self._reminders = Reminders(interval)

    async def run(self) -> None:
        """Sweeps for ever; ends only by cancellation. An absent database is waited for, bugs are logged."""
        await keep_looking(self.sweep, every=self._interval, name="sweep")

    async def sweep(self) -> None:
        """Everything once.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        await self.repeat_requests()
        await self.end_finished()
        await self.start_queued()
        await self.forget_old()

    async def repeat_requests(self) -> list[UUID]:
        """Runs that no scanner has taken are asked for again. Returns their ids."""
        silent = func.now() - cast(self._interval, Interval)
        is_waiting_to_be_sent = exists().where(
            outbox.c.topic.in_(self._request_topics), outbox.c.key == cast(run.c.ingestion_id, String)
        )
        query = (
            select(run.c.id, run.c.dispatched_at)
            .outerjoin(scan, scan.c.run_id == run.c.id)
            .where(run.c.ended_at.is_(None), run.c.dispatched_at <= silent, scan.c.run_id.is_(None))
            .where(~is_waiting_to_be_sent)
            .order_by(run.c.dispatched_at)
        )
        async with self._database.begin() as connection:
            waiting: dict[UUID, datetime] = {row.id: row.dispatched_at for row in await connection.execute(query)}
            # The database's clock: that of this process may be an hour behind.
            now: datetime = (await connection.execute(select(func.now()))).scalar_one()
            due = self._reminders.due(waiting, now)[:_AT_ONCE]
            if due:
                await repository.announce(connection, self._outbox, due)
        if due:
            _log.info("sweep.requests_repeated", run_ids=[str(run_id) for run_id in due])
        return due

    async def end_finished(self) -> list[UUID]:
        """Runs that the ledger knows to be over, whose last message never came. Returns their ids."""
        settled = func.now() - cast(self._interval, Interval)
        query = (
            select(scan)
            .join(run, run.c.id == scan.c.run_id)
            .where(run.c.ended_at.is_(None), scan.c.state == ScanState.ENDED.value)
            .where(scan.c.outcome.is_not(None), scan.c.ended_at <= settled)
            .limit(_AT_ONCE)
        )
        async with self._database.read() as connection:
            scans = (await connection.execute(query)).mappings().all()
        for row in scans:
            await self._end(dict(row))
        return [row["run_id"] for row in scans]

    async def _end(self, row: Mapping[str, Any]) -> None:
        fact = completion_of(row)
        async with self._database.begin() as connection:
            await repository.lock_ingestion(connection, fact.ingestion_id)
            locked = await projection.lock(connection, [fact.run_id])
            if locked[fact.run_id].ended_at is not None:
                return  # its message came after all
            await self._add_details(connection, fact.run_id, fact.occurred_at)
            await fold(connection, self._outbox, [fact])
        _log.warning("sweep.run_ended", run_id=str(fact.run_id), outcome=fact.outcome)

    async def _add_details(self, connection: AsyncConnection, run_id: UUID, at: datetime) -> None:
        """What the lost messages would have told: which snapshots, and which files failed."""
        published = select(batch.c.snapshot_id).where(
            batch.c.run_id == run_id, batch.c.state == BatchState.PUBLISHED.value, batch.c.snapshot_id.is_not(None)
        )
        failed = select(file.c.bucket, file.c.key, file.c.error_type, file.c.error_message).where(
            file.c.run_id == run_id, file.c.state.in_([FileState.FAILED.value, FileState.MISSING.value])
        )
        snapshots = (await connection.scalars(published)).all()
        files = (await connection.execute(failed.limit(_PROBLEMS_MAX))).mappings().all()
        await projection.add_details(connection, run_id, snapshots, [problem_of(dict(each)) for each in files], at)

    async def start_queued(self) -> list[UUID]:
        """Queued runs with no active one before them in their lane. Returns their ids."""
        active = run.alias("active")
        is_behind = exists().where(
            active.c.ingestion_id == run.c.ingestion_id,
            active.c.lane == run.c.lane,
            active.c.ended_at.is_(None),
            active.c.dispatched_at.is_not(None),
        )
        query = (
            select(run.c.ingestion_id)
            .join(ingestion, ingestion.c.id == run.c.ingestion_id)
            .where(run.c.ended_at.is_(None), run.c.dispatched_at.is_(None), ~is_behind, ingestion.c.status != "paused")
        )
        async with self._database.read() as connection:
            ingestion_ids: Sequence[UUID] = (await connection.scalars(query.limit(_AT_ONCE))).all()
        started = []
        for ingestion_id in ingestion_ids:
            async with self._database.begin() as connection:
                await repository.lock_ingestion(connection, ingestion_id)
                run_ids = await repository.dispatch_queued(connection, self._outbox, ingestion_id)
            for run_id in run_ids:
                _log.warning("sweep.run_started", run_id=str(run_id), ingestion_id=str(ingestion_id))
                started.append(run_id)
        return started

    async def forget_old(self) -> None:
        """Event ids, stored answers and connection tests older than ``KEPT``, plans that have expired, and what
        webhooks were told long ago."""
        old = func.now() - cast(KEPT, Interval)
        async with self._database.begin() as connection:
            await connection.execute(delete(inbox).where(inbox.c.received_at < old))
            await connection.execute(delete(idempotency).where(idempotency.c.created_at < old))
            await cluster_checks.forget(connection, before=old)
        async with self._database.begin() as connection:
            await plans.forget_old(connection)
        async with self._database.begin() as connection:
            await deliveries.forget_old(connection)
