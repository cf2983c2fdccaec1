"""Which files should have come. Pure: a rule and an instant in, periods and the keys of their files out.

A *period* is an hour or a day on the clocks of the rule's time zone: a day has 23 or 25 hours where the clocks change,
and the hour that comes twice is two periods whose files have the same keys. Periods follow each other without a gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from libs.common.contracts.expected import ExpectedArrival
from libs.common.schedules.expression import is_time_zone
from libs.common.selection.pattern import Pattern

_PLACEHOLDERS = {"hour": ("%Y", "%m", "%d", "%H"), "day": ("%Y", "%m", "%d")}
_WILD = "*?[{\\"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Period:
    """From ``begins`` on, and before ``ends``; both in UTC."""

    begins: datetime
    ends: datetime


def first_judged_from(rule: ExpectedArrival, now: datetime) -> datetime:
    """A rule that is new is judged from here on: by the latest period that is over, so that its author sees at once
    whether it finds anything."""
    latest = _before(rule, now - timedelta(seconds=rule.grace_s))
    return _before(rule, latest.begins - timedelta(microseconds=1)).begins


def due(rule: ExpectedArrival, judged_until: datetime, now: datetime) -> Iterator[Period]:
    """The periods that ended after ``judged_until`` and whose grace time is over, oldest first."""
    period = _before(rule, judged_until)
    while period.ends + timedelta(seconds=rule.grace_s) <= now:
        if period.ends > judged_until:
            yield period
        period = Period(period.ends, _end(rule, period.ends))


def keys_of(rule: ExpectedArrival, period: Period) -> str:
    """The glob of the period's keys, below the source's path."""
    begins = period.begins.astimezone(ZoneInfo(rule.timezone))
    pattern = rule.pattern
    for placeholder in _PLACEHOLDERS["hour"]:
        pattern = pattern.replace(placeholder, begins.strftime(placeholder))
    return pattern


def fixed_part(pattern: str) -> str:
    """What all keys of a glob begin with: a listing has to look there only."""
    return pattern[: min((pattern.index(c) for c in _WILD if c in pattern), default=len(pattern))]


class Keys:
    """The keys of one period."""

    def __init__(self, pattern: str, prefix: str) -> None:
        """``prefix`` is the source's. Raises ``ValueError`` when the pattern cannot be read."""
        self._pattern = Pattern(pattern)
        self._is_flat = "/" not in pattern
        self._source = prefix
        self.prefix = prefix + fixed_part(pattern)
        self.is_one = fixed_part(pattern) == pattern

    def have(self, key: str) -> bool:
        """A pattern is always of the whole key below the path, unlike ``source.file_pattern``."""
        if not key.startswith(self.prefix) or (self._is_flat and "/" in key[len(self._source) :]):
            return False
        return self._pattern.matches(key, self._source)


def problems_of(rule: ExpectedArrival) -> Iterator[str]:
    """What cannot be meant: each names the field, and what to write instead."""
    field = f"quality.expected_arrivals {rule.name!r}"
    if not is_time_zone(rule.timezone):
        yield f"{field}: timezone {rule.timezone!r} is no time zone; write one as in Europe/Berlin, or UTC"
    fixed = fixed_part(rule.pattern)
    if missing := [p for p in _PLACEHOLDERS[rule.every] if p not in fixed]:
        yield (
            f"{field}: pattern {rule.pattern!r} needs {', '.join(missing)} before its first wildcard: a look lists "
            f"what begins with that, for each {rule.every}"
        )
    if rule.every == "day" and "%H" in rule.pattern:
        yield f"{field}: pattern {rule.pattern!r} has %H, and a day has many hours; write every: hour, or a wildcard"
    try:
        Pattern(rule.pattern)
    except ValueError as e:
        yield f"{field}: {e}"


def _before(rule: ExpectedArrival, at: datetime) -> Period:
    """The period that ``at`` is in."""
    begins = _some_begin(rule, at)
    while (ends := _end(rule, begins)) <= at:
        begins = ends
    return Period(begins, ends)


def _some_begin(rule: ExpectedArrival, at: datetime) -> datetime:
    """The beginning of a period that is not later than ``at``, and not much earlier."""
    zone = ZoneInfo(rule.timezone)
    if rule.every == "day":
        return _midnight(at.astimezone(zone).date() - timedelta(days=1), zone)
    return _next_full_hour(at - 4 * _HOUR, zone)


def _end(rule: ExpectedArrival, begins: datetime) -> datetime:
    zone = ZoneInfo(rule.timezone)
    if rule.every == "hour":
        return _next_full_hour(begins, zone)
    day = begins.astimezone(zone).date()
    while (ends := _midnight(day + timedelta(days=1), zone)) <= begins:
        day += timedelta(days=1)
    return ends


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Where the clocks skip midnight, the first moment of the day."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _next_full_hour(after: datetime, zone: ZoneInfo) -> datetime:
    """When the zone's clocks show a full hour next. Some zones are half an hour off, or change by that."""
    at = after.astimezone(UTC)
    while True:
        local = at.astimezone(zone)
        into_hour = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        at += _HOUR - into_hour
        if at.astimezone(zone).minute == 0:
            return at
