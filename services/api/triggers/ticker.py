"""Starts the runs of schedules that are due.

Every replica of the API looks. One of them gets a tick: it locks the schedule and its ingestion, asks for the run and
moves on to the next tick in one transaction. What if the process stops right before the commit? Nothing happened, and
another replica gets the tick. Right after? The relay of any process sends the request. The clock is the database's:
those of the replicas may be an hour apart.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common import metrics
from libs.common.contracts.definition import Definition
from libs.common.contracts.schedule import Schedule
from libs.common.errors import Rejected, Temporary
from libs.common.failpoints import failpoint
from libs.common.logs import get_logger
from libs.common.schedules.catch_up import Due, due
from libs.common.schedules.jitter import start_of
from libs.common.storage.engine import Database, is_temporary
from services.api.runs.beginning import NewRun
from services.api.runs.requests import IfBusy, RunRequests, Triggered
from services.api.schedules import repository

ACTOR = "autoloader/schedule"
POLL = timedelta(seconds=1)
"""How late a schedule may be seen that another replica has put there, or that another one held."""
BLOCKED = timedelta(seconds=10)
"""How long a tick rests whose run cannot start: the ingestion is halted or refreshed, or another run waits."""
_LEAST = timedelta(milliseconds=20)
_log = get_logger(__name__)


class Ticker:
    """The schedules of all tenants."""

    def __init__(self, database: Database, requests: RunRequests) -> None:
        self._database = database
        self._requests = requests

    async def run(self) -> None:
        """Ticks for ever; ends only by cancellation. An absent database is waited for, bugs are logged."""
        while True:
            pause = POLL
            try:
                while await self.tick():
                    pass
                pause = await self._pause()
            except Temporary as error:
                _log.warning("ticker.postponed", code=error.code, problem=error.message)
            except Exception:  # noqa: BLE001 - loud in the log, and the next look still comes
                _log.exception("ticker.bug")
            await asyncio.sleep(pause.total_seconds())

    async def _pause(self) -> timedelta:
        """Until the next schedule is due, or until it is time to look for new ones."""
        async with self._database.read() as connection:
            left = await repository.until_due(connection)
        return POLL if left is None else max(_LEAST, min(left, POLL))

    async def tick(self) -> bool:
        """Does what the schedule asks for that is due for longest; whether there was one that nobody else held.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        async with self._database.begin() as connection:
            row = await repository.take_due(connection)
            if row is None:
                return False
            schedule = Definition.model_validate(row.definition).schedule
            decided = due(schedule, row.tick_at, row.now)
            try:
                # What is refused leaves nothing of itself behind, and the tick stays for later.
                async with connection.begin_nested():
                    triggered = await self._ask(connection, row, schedule, decided)
                    await _move_on(connection, row, schedule, decided.following)
                    failpoint("api.in_tick")
            except _Blocked as blocked:
                await _rest(connection, row, blocked.code)
                return True
        failpoint("api.after_tick")
        _tell(row, schedule, decided, triggered)
        return True

    async def _ask(
        self, connection: AsyncConnection, row: Row[Any], schedule: Schedule, decided: Due
    ) -> Triggered | None:
        """The run for the tick, if one is wanted and there is none.

        Raises:
            _Blocked: not now.
        """
        tick = decided.run_for
        if tick is None or await repository.has_run_for(connection, row.ingestion_id, tick):
            return None
        new = NewRun("schedule", tick_at=tick)
        if_busy: IfBusy = "wait" if schedule.catch_up == "all" else "join"
        try:
            triggered = await self._requests.trigger(connection, row.ingestion_id, new, actor=ACTOR, if_busy=if_busy)
        except Rejected as error:
            raise _Blocked(error.code) from error
        except Exception as error:
            if is_temporary(error):
                raise
            # One schedule that meets a bug must not keep the others from ticking.
            _log.exception("ticker.bug", ingestion_id=str(row.ingestion_id))
            raise _Blocked("bug") from error
        if triggered is None:
            raise _Blocked("run_queued")
        return triggered


class _Blocked(Exception):
    """The run of a tick cannot start now; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def _move_on(connection: AsyncConnection, row: Row[Any], schedule: Schedule, tick: datetime | None) -> None:
    if tick is None:
        await repository.remove(connection, row.ingestion_id)
    else:
        await repository.put(connection, row.ingestion_id, tick, start_of(schedule, row.ingestion_id, tick))


async def _rest(connection: AsyncConnection, row: Row[Any], code: str) -> None:
    await repository.postpone(connection, row.ingestion_id, BLOCKED, code)
    metrics.SCHEDULE_TICKS.labels(outcome="blocked").inc()
    if row.blocked_by != code:
        _log.warning(
            "schedule.blocked", ingestion_id=str(row.ingestion_id), code=code, tick=row.tick_at.isoformat(),
            again_in_s=BLOCKED.total_seconds(),
        )  # fmt: skip


def _tell(row: Row[Any], schedule: Schedule, decided: Due, triggered: Triggered | None) -> None:
    """After the commit: what became of the tick, and of those that nobody was there for."""
    log = _log.bind(ingestion_id=str(row.ingestion_id))
    if decided.missed:
        metrics.SCHEDULE_TICKS.labels(outcome="missed").inc(decided.missed)
        log.warning(
            "schedule.missed", ticks=decided.missed, since=row.tick_at.isoformat(), catch_up=schedule.catch_up,
        )  # fmt: skip
    if triggered is not None and decided.run_for is not None:
        outcome = "started" if triggered.is_new else "joined"
        late_s = (row.now - max(row.due_at, decided.run_for)).total_seconds()
        metrics.SCHEDULE_TICKS.labels(outcome=outcome).inc()
        metrics.SCHEDULE_LATE_SECONDS.observe(max(0.0, late_s))
        log.info(
            "schedule.tick", run_id=str(triggered.run_id), tick=decided.run_for.isoformat(), outcome=outcome,
            late_ms=round(late_s * 1000),
        )  # fmt: skip
