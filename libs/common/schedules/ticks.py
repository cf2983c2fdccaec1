"""The instants at which a schedule is due. Pure.

Where clocks are changed, ticks are those of Debian's cron. A time of day that the clock skips is due when it goes on
(02:30 becomes 03:00); one that it shows twice is due the first time. Expressions whose minute or hour begins with ``*``
go by what the clock shows: they pass over what it skips, and come again when it shows the same again.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from libs.common.contracts.schedule import Schedule
from libs.common.schedules.expression import expression_of

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def next_after(schedule: Schedule, instant: datetime) -> datetime | None:
    """The first tick later than ``instant``, in UTC; None if there is none in the next 50 years."""
    expression = expression_of(schedule)
    if expression is None:
        return None
    zone = ZoneInfo(schedule.timezone)
    minute, hour = expression.split()[:2]
    if minute.startswith("*") or hour.startswith("*"):
        return _as_the_clock_shows(expression, zone, instant.astimezone(UTC))
    return _at_times_of_day(expression, zone, instant.astimezone(UTC))


def ticks_after(schedule: Schedule, instant: datetime) -> Iterator[datetime]:
    """All ticks later than ``instant``, in order."""
    tick = next_after(schedule, instant)
    while tick is not None:
        yield tick
        tick = next_after(schedule, tick)


def _at_times_of_day(expression: str, zone: ZoneInfo, instant: datetime) -> datetime | None:
    for moment in CronSim(expression, instant.astimezone(zone)):
        # In an hour that the clock shows again, the walk begins with the times of the first showing: they are past.
        if (tick := moment.astimezone(UTC)) > instant:
            return tick
    return None


def _as_the_clock_shows(expression: str, zone: ZoneInfo, instant: datetime) -> datetime | None:
    """From one change of the clock to the next its offset is fixed, so that a plain walk is right."""
    since = instant.replace(microsecond=0)
    passed = _shown(since, zone)
    while True:
        shown = next(CronSim(expression, passed), None)
        if shown is None:
            return None
        tick = (shown - _offset(since, zone)).replace(tzinfo=UTC)
        changed = _first_change(zone, since, tick)
        if changed is None:
            return tick
        since = changed
        passed = _shown(changed, zone) - _SECOND


def _first_change(zone: ZoneInfo, since: datetime, until: datetime) -> datetime | None:
    """When the clock is changed first, later than ``since`` and not later than ``until``. No clock is changed twice
    within a day."""
    offset = _offset(since, zone)
    same, other = since, since
    while other < until:
        other = min(same + _DAY, until)
        if _offset(other, zone) != offset:
            break
        same = other
    else:
        return None
    while other - same > _SECOND:
        middle = same + (other - same) // 2 // _SECOND * _SECOND
        same, other = (middle, other) if _offset(middle, zone) == offset else (same, middle)
    return other


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _shown(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)
