"""What becomes of a message: a value, decided here, acted upon in ``loop``.

nothing raised, Fenced        Done        (a fenced worker has a successor: there is nothing left to do)
Temporary, Unavailable        RetryLater  for ever: an outage must not divert a topic to its dead letters
Permanent, other Rejected     SetAside    the same message would fail in the same way
anything else                 our bug: RetryLater a few times (it may be a race), then SetAside
"""

from dataclasses import dataclass
from datetime import timedelta
from random import Random

from libs.common.errors import AutoloaderError, Fenced, Temporary, Unavailable

BUG_ATTEMPTS = 5
BACKOFF_FIRST = timedelta(milliseconds=200)
BACKOFF_MAX = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Done:
    """The effect is durable, or there is none."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Try the same message again after this pause."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class SetAside:
    """Keep the message as a dead letter and go on with the next."""

    code: str
    reason: str


Outcome = Done | RetryLater | SetAside


def outcome_of(error: Exception, attempt: int) -> Outcome:
    """What to do after the ``attempt``-th try (from 1) ended with ``error``."""
    match error:
        case Fenced():
            return Done()
        case Temporary():
            return RetryLater(backoff(attempt))
        case Unavailable():
            return RetryLater(max(backoff(attempt), timedelta(seconds=error.retry_after_s)))
        case AutoloaderError():
            return SetAside(error.code, error.message)
        case _ if attempt < BUG_ATTEMPTS:
            return RetryLater(backoff(attempt))
        case _:
            return SetAside("bug", f"{type(error).__name__}: {error}")


def is_bug(error: Exception) -> bool:
    """Whether nobody raised this on purpose, so that it deserves a loud log with its traceback."""
    return not isinstance(error, AutoloaderError)


def backoff(attempt: int) -> timedelta:
    """Doubles from ``BACKOFF_FIRST`` up to ``BACKOFF_MAX``."""
    doublings = min(attempt - 1, 16)
    return min(BACKOFF_MAX, BACKOFF_FIRST * (1 << doublings))


def jittered(pause: timedelta, random: Random) -> timedelta:
    """Between half of ``pause`` and all of it, so that those who failed together do not come back together."""
    return pause * random.uniform(0.5, 1.0)
