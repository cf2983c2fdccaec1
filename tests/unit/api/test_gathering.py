"""When a run begins of what notifications told of: a table of cases."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.contracts.schedule import Events
from services.api.triggers.gathering import BACKOFF_FIRST, BACKOFF_MAX, Gathered, LastRun, failures_now, is_due

NOW = datetime(2025, 1, 7, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def waiting(*, files: int = 1, size_bytes: int = 10, since_s: float = 0.5) -> Gathered:
    return Gathered(files, size_bytes, NOW - since_s * SECOND)


def failed(*, requested_s: float, ended_s: float | None, failures: int = 0) -> LastRun:
    """A run that failed; seconds ago."""
    ended_at = None if ended_s is None else NOW - ended_s * SECOND
    return LastRun(NOW - requested_s * SECOND, ended_at, ended_s is not None, failures)


@pytest.mark.parametrize(
    ("gathered", "events", "due"),
    [
        (waiting(since_s=0.4), Events(), False),
        (waiting(since_s=0.5), Events(), True),
        (waiting(since_s=0), Events(max_delay_s=0), True),
        (waiting(since_s=14, files=9), Events(max_delay_s=60, max_files=10), False),
        (waiting(since_s=0, files=10), Events(max_delay_s=60, max_files=10), True),
        (waiting(size_bytes=999), Events(max_delay_s=60, max_bytes=1000), False),
        (waiting(size_bytes=1000), Events(max_delay_s=60, max_bytes=1000), True),
        (waiting(since_s=61, files=1), Events(max_delay_s=60, max_files=10, max_bytes=1000), True),
    ],
)
def test_time_files_or_bytes_whichever_comes_first(gathered: Gathered, events: Events, *, due: bool) -> None:
    """What is not set is no reason to begin."""
    assert due is is_due(gathered, events, None, NOW)


def test_a_run_that_left_its_hints_is_tried_again_after_a_pause() -> None:
    """The pause doubles, up to a limit; what comes meanwhile is no reason to hurry."""
    gathered = waiting(since_s=1000, files=10**6)
    events = Events(max_files=1)
    for failures, pause in [(0, BACKOFF_FIRST), (1, 2 * BACKOFF_FIRST), (40, BACKOFF_MAX)]:
        ended_s = pause.total_seconds()
        assert not is_due(gathered, events, failed(requested_s=999, ended_s=ended_s - 0.1, failures=failures), NOW)
        assert is_due(gathered, events, failed(requested_s=999, ended_s=ended_s, failures=failures), NOW)


def test_runs_begin_no_more_often_than_files_may_wait() -> None:
    """So a stream of files is as many commits as its ``max_delay_s`` says, and no file waits longer than that."""
    for since_s, requested_s, due in [(0.5, 2.0, True), (0.4, 9.0, False), (1.9, 1.95, False), (2.0, 2.0, True)]:
        last = LastRun(NOW - requested_s * SECOND, NOW, has_failed=False, failures=0)
        assert due is is_due(waiting(since_s=since_s), Events(), last, NOW), since_s
    assert is_due(waiting(since_s=0, files=10), Events(max_files=10), LastRun(NOW, NOW, False, 0), NOW)


def test_files_that_failed_do_not_hold_up_those_that_come_after() -> None:
    """The run failed, but looked at all it was to look at: what waits now was noticed later."""
    assert is_due(waiting(since_s=2), Events(), failed(requested_s=3, ended_s=0.1, failures=7), NOW)


def test_a_run_that_went_well_is_no_reason_to_wait() -> None:
    """Also when hints are left that are older than it."""
    done = LastRun(NOW - 5 * SECOND, NOW, has_failed=False, failures=3)
    assert is_due(waiting(since_s=10), Events(), done, NOW)
    assert 0 == failures_now(waiting(since_s=10), done)


def test_failures_are_counted_in_a_row() -> None:
    """One that looked at everything begins anew."""
    last = failed(requested_s=10, ended_s=8, failures=2)
    assert 3 == failures_now(waiting(since_s=20), last)
    assert 0 == failures_now(waiting(since_s=5), last)
    assert 0 == failures_now(waiting(), None)
