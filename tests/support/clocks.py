"""Clocks for tests of what a process does when its own is wrong."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from libs.common.clock import utc_now


async def the_same_time() -> datetime:
    """A database whose clock agrees with ours."""
    return utc_now()


def behind_us(skew: timedelta) -> Callable[[], Awaitable[datetime]]:
    """A database whose clock is that far behind ours."""

    async def now() -> datetime:
        return utc_now() - skew

    return now
