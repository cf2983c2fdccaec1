"""Looking at schedules. ``triggers/ticker.py`` acts on them."""

from datetime import UTC, datetime
from itertools import islice
from uuid import UUID
from zoneinfo import ZoneInfo

from libs.common.contracts.definition import Definition
from libs.common.contracts.schedule import Schedule
from libs.common.schedules.expression import expression_of
from libs.common.schedules.jitter import start_of
from libs.common.schedules.ticks import ticks_after
from libs.common.storage.engine import Database
from services.api.caller import Caller
from services.api.ingestions import repository as ingestions
from services.api.schedules import repository
from services.api.schedules.schemas import ScheduleOut, Tick


class Schedules:
    """The schedules of all tenants; every call sees those of its caller only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, caller: Caller, ingestion_id: UUID, count: int) -> ScheduleOut:
        """The schedule with its next ``count`` ticks.

        Raises:
            NotFound: the ingestion.
        """
        async with self._database.read() as connection:
            of = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            standing = await repository.get(connection, ingestion_id)
            now = await repository.now(connection)
        schedule = Definition.model_validate(of.definition).schedule
        return ScheduleOut(
            is_on=of.status == "active" and of.halt_code is None and schedule.is_wanted,
            expression=expression_of(schedule),
            timezone=schedule.timezone,
            waiting_since=standing.tick_at if standing is not None and standing.tick_at <= now else None,
            blocked_by=standing.blocked_by if standing is not None else None,
            ticks=next_ticks(schedule, ingestion_id, now, count),
        )


def next_ticks(schedule: Schedule, ingestion_id: UUID, now: datetime, count: int) -> list[Tick]:
    """The first ``count`` ticks later than ``now``."""
    zone = ZoneInfo(schedule.timezone)
    return [
        Tick(at=tick.astimezone(UTC), shown=tick.astimezone(zone), starts_at=start_of(schedule, ingestion_id, tick))
        for tick in islice(ticks_after(schedule, now), count)
    ]
