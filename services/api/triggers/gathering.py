"""When what notifications told of is loaded. Pure: numbers in, a decision out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.contracts.schedule import Events

BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_MAX = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Hints that wait for one ingestion: how many, of how many bytes, and since when the oldest."""

    files: int
    size_bytes: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class LastRun:
    """The latest run that hints began. ``failures`` counts those before it that failed, in a row."""

    requested_at: datetime
    ended_at: datetime | None
    has_failed: bool
    failures: int

    def has_left(self, gathered: Gathered) -> bool:
        """Whether it failed, and what it was to look at waits still: its scan could not go on."""
        return self.has_failed and gathered.first_at <= self.requested_at


def is_due(gathered: Gathered, events: Events, last: LastRun | None, now: datetime) -> bool:
    """Whether a run is to begin. One that fails for what it was to look at is tried again after pauses that double:
    credentials that are wrong are wrong a moment later, too.

    Otherwise at most one run begins in ``max_delay_s``, so nothing waits longer than that, and a table gets no more
    commits than that. What comes after a pause is gathered for a quarter of it: objects seldom come alone."""
    if last is not None and last.has_left(gathered) and last.ended_at is not None:
        return now - last.ended_at >= min(BACKOFF_MAX, BACKOFF_FIRST * (1 << min(last.failures, 16)))
    max_delay = timedelta(seconds=events.max_delay_s)
    is_gathered = now - gathered.first_at >= max_delay / 4
    return (
        (is_gathered and (last is None or now - last.requested_at >= max_delay))
        or (events.max_files is not None and gathered.files >= events.max_files)
        or (events.max_bytes is not None and gathered.size_bytes >= events.max_bytes)
    )


def failures_now(gathered: Gathered, last: LastRun | None) -> int:
    """What to count for a run that begins now."""
    return last.failures + 1 if last is not None and last.has_left(gathered) else 0
