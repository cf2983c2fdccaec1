"""Sweeping: what is found is taken up, whatever the rest of it does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from libs.common.aside import Aside
from libs.common.errors import Fenced, Permanent, Temporary
from libs.common.sweeper import Sweeper
from tests.support.clocks import behind_us
from tests.support.eventually import eventually

SOON = timedelta(milliseconds=1)


class Pile:
    """Work that lies about until it is done: work under way is found again, as if its lease were lost."""

    def __init__(self, *work: str) -> None:
        self.waiting = list(work)
        self.begun: list[str] = []
        self.done: list[str] = []
        self.looked = 0
        self.trouble: Exception | None = None
        self.gate = asyncio.Event()

    async def find(self, limit: int) -> Sequence[str]:
        self.looked += 1
        if self.trouble is not None:
            raise self.trouble
        return self.waiting[:limit]

    async def take(self, work: str) -> None:
        """``long`` work goes on until the gate opens."""
        self.begun.append(work)
        if work.startswith("long"):
            await self.gate.wait()
        self.waiting.remove(work)
        self.done.append(work)

    async def is_done(self, *work: str) -> None:
        await eventually(lambda: sorted(self.done) == sorted(work), what=f"{work} are done")

    async def is_looked_at(self) -> None:
        """Twice more: the sweep that may be going on has ended."""
        before = self.looked
        await eventually(lambda: self.looked >= before + 2, what="two more sweeps")


@asynccontextmanager
async def sweeping(
    pile: Pile, take: Callable[[str], Awaitable[None]] | None = None, *, aside: Aside | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """At most two pieces at once."""
    sweeper = Sweeper(pile.find, take or pile.take, kind="test", interval=SOON, at_once=2, aside=aside)
    task = asyncio.create_task(sweeper.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_long_work_holds_up_no_other() -> None:
    """The next sweeps go on while it lasts."""
    pile = Pile("long", "a", "b")
    async with sweeping(pile):
        await pile.is_done("a", "b")
        pile.waiting.append("c")
        await pile.is_done("a", "b", "c")


async def test_no_more_at_once_than_allowed() -> None:
    """What there is no room for waits for a later sweep."""
    names = [str(n) for n in range(10)]
    pile = Pile(*names)
    at_work: set[str] = set()
    most = 0

    async def take(work: str) -> None:
        nonlocal most
        pile.waiting.remove(work)
        at_work.add(work)
        most = max(most, len(at_work))
        if work == "0":
            await pile.is_looked_at()
        await asyncio.sleep(0)
        at_work.remove(work)
        pile.done.append(work)

    async with sweeping(pile, take):
        await pile.is_done(*names)
    assert most == 2


async def test_work_under_way_is_not_taken_up_twice() -> None:
    """Found again because its lease was lost: that is for another process."""
    pile = Pile("long")
    async with sweeping(pile):
        await pile.is_looked_at()
        pile.gate.set()
        await pile.is_done("long")
    assert pile.begun == ["long"]


@pytest.mark.parametrize(
    "error", [Fenced("x"), Temporary("away", code="c"), Permanent("no", code="c"), ZeroDivisionError()]
)
async def test_trouble_with_one_piece_is_its_own(error: Exception) -> None:
    """It is tried again at the next sweeps, and the others are done."""
    pile = Pile("bad", "good")
    tried = 0

    async def take(work: str) -> None:
        nonlocal tried
        if work == "bad" and tried < 3:
            tried += 1
            raise error
        await pile.take(work)

    async with sweeping(pile, take):
        await pile.is_done("bad", "good")
    assert tried == 3


@pytest.mark.parametrize("error", [Temporary("away", code="database_unavailable"), ZeroDivisionError()])
async def test_looking_goes_on_after_trouble(error: Exception) -> None:
    """The database is back, or our bug was a passing one."""
    pile = Pile("a")
    pile.trouble = error
    async with sweeping(pile):
        await pile.is_looked_at()
        pile.trouble = None
        await pile.is_done("a")


async def test_who_stands_aside_takes_nothing() -> None:
    """Until its pause is over."""
    now, asked = 0.0, 0

    def monotonic() -> float:
        nonlocal asked
        asked += 1
        return now

    aside = Aside(timedelta(seconds=1), behind_us(timedelta(hours=1)), monotonic=monotonic)
    assert await aside.step(1)
    pile = Pile("a")
    async with sweeping(pile, aside=aside):
        enough = asked + 3
        await eventually(lambda: asked >= enough)
        assert pile.looked == 0
        now = 2.0
        await pile.is_done("a")


async def test_the_end_of_the_sweeping_is_the_end_of_the_work() -> None:
    """Cancelled where it stands, so that it can give back what it holds."""
    pile = Pile("a")
    is_given_back = False

    async def take(work: str) -> None:
        nonlocal is_given_back
        pile.begun.append(work)
        try:
            await pile.gate.wait()
        finally:
            is_given_back = True

    async with sweeping(pile, take) as task:
        await eventually(lambda: pile.begun == ["a"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_given_back
