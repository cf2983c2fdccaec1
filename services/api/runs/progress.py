"""Numbers that are worked out when somebody looks. Pure: the time is passed in."""

import math
from datetime import datetime, timedelta

from libs.common.contracts.events import Totals
from libs.common.lifecycle.run import RunStatus

# A healthy scanner takes a request within a second. Longer, and the user should hear what is missing.
SCANNER_SILENCE_MAX = timedelta(seconds=15)


def eta_seconds(totals: Totals, started_at: datetime | None, now: datetime) -> int | None:
    """Seconds until the files found so far are done, if the rest goes like the beginning. None: nothing to go by."""
    done = totals.files_done + totals.files_failed
    if started_at is None or done == 0:
        return None
    remaining = max(0, totals.files_discovered - done)
    elapsed_s = max(0.0, (now - started_at).total_seconds())
    return math.ceil(elapsed_s * remaining / done)


def duration_seconds(started_at: datetime | None, ended_at: datetime | None, now: datetime) -> float | None:
    """How long the run took, or has taken so far. Never negative: services' clocks may differ a little."""
    if started_at is None:
        return None
    return max(0.0, round(((ended_at or now) - started_at).total_seconds(), 3))


def waiting_on(
    status: RunStatus,
    dispatched_at: datetime | None,
    now: datetime,
    *,
    unsent_because: str | None,
    is_paused: bool = False,
    left_because: str | None = None,
) -> str | None:
    """Why a run that was accepted has not begun, or one that is under way does not go on, in one sentence for the user;
    None when nothing is in the way.

    ``unsent_because``: what keeps its request from being sent; None once it is on its way. ``left_because``: why an
    executor left one of its batches for a later attempt.
    """
    if status is RunStatus.RUNNING and left_because is not None:
        return f"a batch was left for a later attempt: {left_because.rstrip('.')}; it is tried again until it ends"
    if status is not RunStatus.ACCEPTED:
        return None
    if dispatched_at is None and is_paused:
        return "the ingestion is paused; this run starts when it is resumed and no other run is active"
    if dispatched_at is None:
        return "another run of this ingestion is active; this one starts when it ends"
    if unsent_because is not None:
        return f"{unsent_because.rstrip('.')}; the request is kept and will be sent"
    if now - dispatched_at > SCANNER_SILENCE_MAX:
        return "no scanner has taken the request yet; check that the scanner service runs"
    return None
