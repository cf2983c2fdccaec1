"""A schedule as five cron fields, and what can be wrong with one. Pure."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from libs.common.contracts.schedule import Schedule

# In cron's order: Sunday is 0.
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_ANY = ("*", "*", "*", "*", "*")


def expression_of(schedule: Schedule) -> str | None:
    """Minute, hour, day of month, month, day of week; None for a schedule that does not go by the clock."""
    hour, minute = map(int, (schedule.time or "00:00").split(":"))
    match schedule.frequency:
        case None:
            return None
        case "hourly":
            return f"{minute} * * * *"
        case "daily":
            return f"{minute} {hour} * * *"
        case "weekly":
            return f"{minute} {hour} * * {_WEEKDAYS.index(schedule.weekday or 'monday')}"
        case "custom":
            return schedule.cron_expression


def problems_of(schedule: Schedule) -> Iterator[str]:
    """What cannot be meant: each names the field, and what to write instead."""
    if not is_time_zone(schedule.timezone):
        yield f"schedule.timezone {schedule.timezone!r} is no time zone; write one as in Europe/Berlin, or UTC"
    if schedule.time is not None and schedule.frequency is None:
        yield _idle("schedule.time", "schedule.frequency is null")
    if schedule.time is not None and schedule.frequency == "custom":
        yield _idle("schedule.time", "schedule.cron_expression says when")
    if schedule.weekday is not None and schedule.frequency != "weekly":
        yield _idle("schedule.weekday", f"schedule.frequency is {schedule.frequency or 'null'}, not weekly")
    if schedule.cron_expression is not None and schedule.frequency != "custom":
        yield _idle("schedule.cron_expression", f"schedule.frequency is {schedule.frequency or 'null'}, not custom")
    if schedule.frequency == "custom":
        yield from _of_expression(schedule.cron_expression)
    if schedule.jitter_s and schedule.frequency is None:
        yield _idle("schedule.jitter_s", "schedule.frequency is null")
    if schedule.backfill_interval is not None and not schedule.takes_events:
        yield _idle("schedule.backfill_interval", "schedule.trigger is time")


def is_time_zone(name: str) -> bool:
    with suppress(KeyError, ValueError, OSError):  # unknown, no name at all, or a folder of names
        return bool(ZoneInfo(name))
    return False


def _of_expression(expression: str | None) -> Iterator[str]:
    if expression is None:
        yield "schedule.cron_expression is missing, and schedule.frequency is custom; write one as in 30 2 * * *"
        return
    field = f"schedule.cron_expression {expression!r}"
    parts = expression.split()
    if len(parts) == len(_FIELDS) + 1:
        yield f"{field} has six fields; leave out the seconds: {', '.join(_FIELDS)}"
    elif len(parts) != len(_FIELDS):
        yield f"{field} has {len(parts)} fields; write five: {', '.join(_FIELDS)}"
    else:
        wrong = [name for place, name in enumerate(_FIELDS) if not _is_readable(_only(place, parts[place]))]
        for name in wrong:
            yield f"{field}: its {name} cannot be read; write as in */15, 6-20, 1,15 or MON-FRI"
        if not wrong and not _ever_comes(expression):
            yield f"{field} never comes: no year has such a day"


def _only(place: int, part: str) -> str:
    """An expression in which nothing is wrong but, perhaps, this part."""
    return " ".join([*_ANY[:place], part, *_ANY[place + 1 :]])


def _is_readable(expression: str) -> bool:
    try:
        CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - on no clock in particular
    except (CronSimError, AssertionError, ValueError, TypeError):
        return False
    return True


def _ever_comes(expression: str) -> bool:
    return _is_readable(expression) and next(CronSim(expression, datetime(2000, 1, 1)), None) is not None  # noqa: DTZ001


def _idle(field: str, because: str) -> str:
    return f"{field} has no effect, since {because}; leave it out"
