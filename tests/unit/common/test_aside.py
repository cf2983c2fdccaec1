"""A process whose clock is wrong stands aside; one whose clock is right does not (F49)."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from libs.common.aside import ATTEMPTS_MAX, Aside
from tests.support.clocks import behind_us, the_same_time

PAUSE = timedelta(seconds=30)


@dataclass
class Monotonic:
    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize("hours", [1, -1])
async def test_for_a_while(hours: int) -> None:
    """Then it works again, and may find that its clock is right by now."""
    time = Monotonic()
    aside = Aside(PAUSE, behind_us(timedelta(hours=hours)), monotonic=time)
    assert not aside.is_on()
    assert await aside.step(1)
    assert aside.is_on()
    time.seconds += PAUSE.total_seconds()
    assert not aside.is_on()


async def test_not_when_it_is_the_store_whose_clock_is_wrong() -> None:
    """Nobody would do better, and other work is not to wait for it."""
    aside = Aside(PAUSE, the_same_time)
    assert not await aside.step(1)
    assert not aside.is_on()


async def test_the_last_attempt_is_for_telling() -> None:
    """All of them have stood aside by then."""
    aside = Aside(PAUSE, behind_us(timedelta(hours=1)))
    assert [True, False] == [await aside.step(n) for n in (ATTEMPTS_MAX - 1, ATTEMPTS_MAX)]
    assert aside.is_on()
