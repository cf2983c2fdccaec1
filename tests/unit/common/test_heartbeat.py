"""Holding a lease: it is extended while work goes on, and work ends when it is lost."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from libs.common.errors import Fenced, Permanent, Temporary
from libs.common.heartbeat import holding
from tests.support.eventually import eventually

SOON = timedelta(milliseconds=1)
LATE = timedelta(hours=1)


class Lease:
    """Counts its extensions; ``trouble`` says what each of them raises."""

    def __init__(self, trouble: Callable[[int], BaseException | None] = lambda _: None) -> None:
        self.extended = 0
        self._trouble = trouble

    async def extend(self) -> None:
        self.extended += 1
        if (error := self._trouble(self.extended)) is not None:
            raise error

    async def reached(self, times: int) -> None:
        await eventually(lambda: self.extended >= times)


def lost(_: int) -> BaseException:
    return Fenced("the lease")


async def test_the_lease_is_extended_while_the_block_runs_and_not_after() -> None:
    """Again and again; and nothing is left running."""
    lease = Lease()
    async with holding(lease.extend, every=SOON):
        await lease.reached(3)
    before = lease.extended
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 1)
    assert before == lease.extended


async def test_short_work_needs_no_heartbeat() -> None:
    """The claim's own lease is enough."""
    lease = Lease()
    async with holding(lease.extend, every=LATE):
        pass
    assert 0 == lease.extended


async def test_a_lost_lease_stops_the_work_where_it_stands() -> None:
    """And the task can go on with something else."""
    with pytest.raises(Fenced):
        async with holding(Lease(lost).extend, every=SOON):
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()
    await asyncio.sleep(0)


async def test_a_lost_lease_is_told_even_if_the_block_swallows_its_cancellation() -> None:
    """It may not report success."""

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    with pytest.raises(Fenced):
        async with holding(Lease(lost).extend, every=SOON):
            await work()
    await asyncio.sleep(0)


async def test_a_lost_lease_is_told_even_if_the_block_fails_on_its_way_out() -> None:
    """A roll-back on a cut connection, say; and no cancellation stays behind to hit somebody else."""

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise Temporary("the roll-back failed", code="database_unavailable")

    with pytest.raises(Fenced) as caught:
        async with holding(Lease(lost).extend, every=SOON):
            await work()
    assert isinstance(caught.value.__cause__, Temporary)
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()


async def test_a_cancellation_from_outside_stays_one() -> None:
    """The process is stopping: nobody may take that for a lost lease."""
    began = asyncio.Event()

    async def work() -> None:
        async with holding(Lease().extend, every=SOON):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_cancellation_from_outside_wins_over_a_lost_lease() -> None:
    """Both at once."""
    hit = asyncio.Event()

    async def work() -> None:
        async with holding(Lease(lost).extend, every=SOON):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                hit.set()
                await asyncio.Event().wait()  # tidying up takes a while, and is cut short

    task = asyncio.create_task(work())
    await hit.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@pytest.mark.parametrize(
    "trouble",
    [Temporary("away", code="database_unavailable"), Permanent("odd", code="odd"), RuntimeError("a bug")],
    ids=["temporary", "permanent", "bug"],
)
async def test_trouble_with_a_heartbeat_does_not_stop_the_work(trouble: Exception) -> None:
    """The next one may get through; if the lease is lost meanwhile, the guarded writes tell."""
    lease = Lease(lambda times: trouble if times < 3 else None)
    async with holding(lease.extend, every=SOON):
        await lease.reached(5)


async def test_an_error_of_the_work_comes_out_as_it_is() -> None:
    """With a lease that is held."""
    with pytest.raises(KeyError, match="mine"):
        async with holding(Lease().extend, every=SOON):
            raise KeyError("mine")


async def test_a_timeout_around_it_still_is_a_timeout() -> None:
    """Its cancellation is not ours to take back."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), holding(Lease().extend, every=LATE):
            await asyncio.Event().wait()
