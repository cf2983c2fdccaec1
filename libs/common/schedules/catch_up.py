"""What becomes of the ticks that have passed. Pure.

Mostly it is one, a moment ago. It is more after an outage, a pause or a halt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from libs.common.contracts.schedule import Schedule
from libs.common.schedules.ticks import next_after, ticks_after

CATCH_UP_MAX = 24
"""With ``catch_up: all``, so many of the latest ticks get a run; older ones do not."""
LATE = timedelta(minutes=5)
"""With ``catch_up: none``, a tick may be so late, and its jitter, without being missed."""
COUNTED_MAX = 1_000
"""More missed ticks than that are not counted."""
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Due:
    """``run_for`` is the tick that a run is asked for now, if one is; ``missed`` counts those that no run is asked for,
    up to ``COUNTED_MAX``; ``following`` is the tick to look at next, which may have passed, too."""

    run_for: datetime | None
    missed: int
    following: datetime | None


def due(schedule: Schedule, tick: datetime, now: datetime) -> Due:
    """What is to be done at ``now``, when ``tick`` is the first that nothing was done about. It is not in the
    future."""
    if schedule.catch_up == "all":
        kept = _latest(schedule, tick, now, CATCH_UP_MAX)
        following = kept[1] if len(kept) > 1 else next_after(schedule, now)
        return Due(kept[0], _count(schedule, tick, kept[0] - _INSTANT), following)
    [last] = _latest(schedule, tick, now, 1)
    passed = _count(schedule, tick, now)
    following = next_after(schedule, now)
    if schedule.catch_up == "none" and now - last > LATE + timedelta(seconds=schedule.jitter_s):
        return Due(None, passed, following)
    return Due(last, max(0, passed - 1), following)


def _latest(schedule: Schedule, since: datetime, until: datetime, count: int) -> Sequence[datetime]:
    """The last ``count`` ticks of this time, oldest first. A look at its end is enough where ticks are dense."""
    window = timedelta(minutes=1)
    while True:
        begin = max(since - _INSTANT, until - window)
        found = list(takewhile(lambda tick: tick <= until, ticks_after(schedule, begin)))
        if len(found) >= count or begin < since:
            # A tick that the schedule does not know (any more) is looked at, too.
            return found[-count:] or [since]
        window *= 4


def _count(schedule: Schedule, since: datetime, until: datetime) -> int:
    ticks = takewhile(lambda tick: tick <= until, ticks_after(schedule, since - _INSTANT))
    return sum(1 for _ in islice(ticks, COUNTED_MAX))
