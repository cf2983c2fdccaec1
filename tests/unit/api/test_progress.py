"""Numbers that are worked out when somebody looks at a run."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.contracts.events import Totals
from libs.common.lifecycle.run import RunStatus
from services.api.runs.progress import SCANNER_SILENCE_MAX, duration_seconds, eta_seconds, waiting_on

START = datetime(2025, 1, 7, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("discovered", "done", "failed", "elapsed_s", "expected"),
    [
        (10, 0, 0, 60, None),  # nothing to go by
        (10, 5, 0, 60, 60),  # half is done
        (10, 2, 0, 60, 240),
        (10, 1, 1, 60, 240),  # a failed file is behind us too
        (10, 10, 0, 60, 0),
        (3, 2, 0, 1, 1),  # rounded up: never "0 s" with work left
        (2, 3, 0, 60, 0),  # more done than found: a retried file; never negative
        (10, 5, 0, -5, 0),  # clocks differ a little
    ],
)
def test_the_rest_goes_like_the_beginning(
    discovered: int, done: int, failed: int, elapsed_s: int, expected: int | None
) -> None:
    """The estimate is elapsed time times what is left over what is done."""
    totals = Totals(files_discovered=discovered, files_done=done, files_failed=failed)
    assert expected == eta_seconds(totals, START, START + timedelta(seconds=elapsed_s))


def test_without_a_start_there_is_no_estimate() -> None:
    """A run that only its end is known of."""
    assert eta_seconds(Totals(files_discovered=1, files_done=1), None, START) is None


@pytest.mark.parametrize(
    ("started", "ended", "now_s", "expected"),
    [(None, None, 9, None), (0, None, 9, 9.0), (0, 4, 9, 4.0), (5, 4, 9, 0.0)],
)
def test_duration_is_so_far_or_in_all(
    started: int | None, ended: int | None, now_s: int, expected: float | None
) -> None:
    """Null before the start, growing while it runs, fixed afterwards, never negative."""

    def at(second: int | None) -> datetime | None:
        return None if second is None else START + timedelta(seconds=second)

    assert expected == duration_seconds(at(started), at(ended), START + timedelta(seconds=now_s))


LATE = START + SCANNER_SILENCE_MAX + timedelta(seconds=1)
SOON = START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("status", "dispatched_at", "now", "unsent_because", "expected"),
    [
        (RunStatus.ACCEPTED, None, SOON, None, "another run"),
        (RunStatus.ACCEPTED, START, SOON, None, None),
        (RunStatus.ACCEPTED, START, SOON, "Kafka is away.", "Kafka is away; the request is kept"),
        (RunStatus.ACCEPTED, START, LATE, "Kafka is away", "Kafka is away; the request is kept"),
        (RunStatus.ACCEPTED, START, LATE, None, "no scanner"),
        (RunStatus.RUNNING, START, LATE, None, None),
        (RunStatus.SUCCESS, START, LATE, None, None),
    ],
)
def test_a_waiting_run_says_what_it_waits_for(
    status: RunStatus, dispatched_at: datetime | None, now: datetime, unsent_because: str | None, expected: str | None
) -> None:
    """And a run that is under way, or over, waits for nothing."""
    text = waiting_on(status, dispatched_at, now, unsent_because=unsent_because)
    assert (text is None) if expected is None else (text is not None and text.startswith(expected))


@pytest.mark.parametrize(("status", "says_so"), [(RunStatus.RUNNING, True), (RunStatus.PARTIAL, False)])
def test_a_run_says_why_a_batch_of_it_was_left(status: RunStatus, says_so: bool) -> None:
    """As long as it is under way."""
    text = waiting_on(status, START, SOON, unsent_because=None, left_because="Spark is away.")
    assert says_so == (text is not None)
    assert text is None or text.startswith("a batch was left for a later attempt: Spark is away; it is tried again")
