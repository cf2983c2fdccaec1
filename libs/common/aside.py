"""Standing aside: a process whose clock is wrong leaves work to its sisters for a while.

Object storage refuses signatures of a clock that is far from its own (15 minutes at Amazon's). That is not the work's
fault, so the work must not fail for it as long as somebody else can do it: its holder gives it back, and takes none
while it stands aside. Whoever is alone comes back to it, and tells after a few attempts.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from libs.common.clock import Clock, utc_now
from libs.common.logs import get_logger

CLOCK_SKEWED = "clock_skewed"
"""The code of the refusal."""

ATTEMPTS_MAX = 5
"""Claims of one piece of work, by whomever, after which it fails with the reason."""

SKEW_MAX = timedelta(minutes=5)
"""Clocks that are nearer to each other agree."""

_SWEEPS = 3
_log = get_logger(__name__)


class Aside:
    """One per process. ``their_now`` is the database's clock, which all processes share: if ours agrees with it, it is
    the store's that is wrong, and nobody would do better."""

    def __init__(
        self,
        pause: timedelta,
        their_now: Callable[[], Awaitable[datetime]],
        *,
        our_now: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause_s = pause.total_seconds()
        self._their_now = their_now
        self._our_now = our_now
        self._monotonic = monotonic
        self._until = monotonic()

    @classmethod
    def for_sweeps(cls, interval: timedelta, their_now: Callable[[], Awaitable[datetime]]) -> "Aside":
        """For as long as sweepers that look every ``interval`` need to have come by for certain."""
        return cls(_SWEEPS * interval, their_now)

    async def step(self, attempt: int) -> bool:
        """After a refusal in the ``attempt``-th claim of some work. Whether to give it back: this process stands aside
        then. False: it is to fail with the reason."""
        skew = self._our_now() - await self._their_now()
        if abs(skew) < SKEW_MAX:
            return False
        self._until = self._monotonic() + self._pause_s
        _log.error("clock.skewed", ahead_of_database_s=round(skew.total_seconds()), aside_s=self._pause_s)
        return attempt < ATTEMPTS_MAX

    def is_on(self) -> bool:
        """Whether this process stands aside at the moment."""
        return self._monotonic() < self._until
