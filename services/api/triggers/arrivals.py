"""Begins runs of what notifications told of, soon after they did. Every API process looks; Postgres decides who begins.

While a run is under way, what comes is gathered for the next one: a table that is behind gets fewer and larger runs.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.schedule import Schedule
from libs.common.contracts.scope import HINTED
from libs.common.errors import Rejected
from libs.common.failpoints import failpoint
from libs.common.lifecycle.run import RunStatus
from libs.common.logs import get_logger
from libs.common.storage.engine import Database
from services.api.looking import keep_looking
from services.api.runs.beginning import NewRun
from services.api.runs.requests import RunRequests
from services.api.triggers import following
from services.api.triggers.gathering import Gathered, LastRun, failures_now, is_due

ACTOR = "autoloader/events"
LOOK_EVERY = timedelta(milliseconds=300)
REFUSED_S = 30.0
"""How long this process leaves an ingestion alone whose run was refused, as for a cluster that nobody knows."""
_log = get_logger(__name__)


class Arrivals:
    """One look every ``LOOK_EVERY``, for as long as the process lives."""

    def __init__(
        self, database: Database, requests: RunRequests, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._requests = requests
        self._monotonic = monotonic
        self._refused: dict[UUID, float] = {}

    async def run(self) -> None:
        """Ends only by cancellation. An absent database is waited for, bugs are logged."""
        await keep_looking(self.look, every=LOOK_EVERY, name="arrivals")

    async def look(self) -> list[UUID]:
        """Begins what is due. The ids of the runs.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        async with self._database.read() as connection:
            rows = await following.gathered(connection)
        due = [row.ingestion_id for row in rows if _is_due(row) and not self._was_refused(row.ingestion_id)]
        begun = [await self._begin(ingestion_id) for ingestion_id in due]
        return [run_id for run_id in begun if run_id is not None]

    async def _begin(self, ingestion_id: UUID) -> UUID | None:
        try:
            async with self._database.begin() as connection:
                run_id = await self._requested(connection, ingestion_id)
                failpoint("arrivals.before_commit")
        except Rejected as error:
            _log.warning("arrivals.refused", ingestion_id=str(ingestion_id), code=error.code, problem=error.message)
            self._refused[ingestion_id] = self._monotonic() + REFUSED_S
            return None
        if run_id is not None:
            _log.info("arrivals.begun", ingestion_id=str(ingestion_id), run_id=str(run_id))
        return run_id

    async def _requested(self, connection: AsyncConnection, ingestion_id: UUID) -> UUID | None:
        if not await following.hold(connection, ingestion_id):
            return None
        for row in await following.gathered(connection, ingestion_id):  # another process may have been faster
            if not _is_due(row):
                break
            begun = await self._requests.trigger(
                connection, ingestion_id, NewRun("event", scope=HINTED), actor=ACTOR, if_busy="leave"
            )
            if begun is not None:
                failures = failures_now(_gathered(row), _last_run(row))
                await following.has_begun(connection, ingestion_id, begun.run_id, failures)
                return begun.run_id
        return None

    def _was_refused(self, ingestion_id: UUID) -> bool:
        if self._refused.get(ingestion_id, 0) > self._monotonic():
            return True
        self._refused.pop(ingestion_id, None)
        return False


def _is_due(row: Row[Any]) -> bool:
    return is_due(_gathered(row), Schedule.model_validate(row.schedule).events, _last_run(row), row.now)


def _gathered(row: Row[Any]) -> Gathered:
    return Gathered(row.files, row.size_bytes, row.first_at)


def _last_run(row: Row[Any]) -> LastRun | None:
    if row.requested_at is None:
        return None
    return LastRun(row.requested_at, row.ended_at, row.status == RunStatus.FAILED, row.failures)
