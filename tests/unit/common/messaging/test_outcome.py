"""What becomes of a message, as a table."""

from datetime import timedelta
from random import Random

import pytest

from libs.common.errors import Conflict, Fenced, NotFound, Permanent, Temporary, Unavailable
from libs.common.messaging.outcome import (
    BACKOFF_MAX,
    BUG_ATTEMPTS,
    Done,
    Outcome,
    RetryLater,
    SetAside,
    backoff,
    is_bug,
    jittered,
    outcome_of,
)


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (Temporary("db is away", code="database_unavailable"), 1, RetryLater(timedelta(milliseconds=200))),
        (Temporary("db is away", code="database_unavailable"), 3, RetryLater(timedelta(milliseconds=800))),
        (Temporary("db is away", code="database_unavailable"), 10_000, RetryLater(BACKOFF_MAX)),
        (Unavailable("busy", code="busy", retry_after_s=7), 1, RetryLater(timedelta(seconds=7))),
        (Permanent("no such bucket", code="bucket_not_found"), 1, SetAside("bucket_not_found", "no such bucket")),
        (NotFound("no such run", code="run_not_found"), 1, SetAside("run_not_found", "no such run")),
        (Conflict("it is active", code="active"), 9, SetAside("active", "it is active")),
        (Fenced("batch 7"), 1, Done()),
        (KeyError("x"), 1, RetryLater(timedelta(milliseconds=200))),
        (KeyError("x"), BUG_ATTEMPTS - 1, RetryLater(backoff(BUG_ATTEMPTS - 1))),
        (KeyError("x"), BUG_ATTEMPTS, SetAside("bug", "KeyError: 'x'")),
        (TimeoutError(), BUG_ATTEMPTS, SetAside("bug", "TimeoutError: ")),
    ],
)
def test_each_error_has_one_outcome(error: Exception, attempt: int, expected: Outcome) -> None:
    """An outage is waited out; a refusal is set aside; a bug is tried a few times."""
    assert expected == outcome_of(error, attempt)


def test_only_what_nobody_raised_on_purpose_is_a_bug() -> None:
    """Bugs are loud; the errors of our tree are not."""
    assert is_bug(KeyError("x"))
    assert not is_bug(Permanent("no", code="no"))


def test_jitter_keeps_between_half_and_all_of_the_pause() -> None:
    """Those who failed together come back apart, and never later than promised."""
    pauses = {jittered(timedelta(seconds=10), Random(seed)) for seed in range(50)}
    assert len(pauses) > 40
    assert timedelta(seconds=5) <= min(pauses) <= max(pauses) <= timedelta(seconds=10)
