"""Items that come one by one and are handled together."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.messaging.together import Together

pytestmark = pytest.mark.asyncio


_caller = ContextVar("caller", default="nobody")


class Transactions:
    """Each waits until it is let go; then it raises ``refuses[item]`` if that is among its items. The result of an item
    is its capital letter."""

    def __init__(self, *, at_most: int = 10, open_at_first: bool = True) -> None:
        self.begun: list[list[str]] = []
        self.callers: list[str] = []
        self.refuses: dict[str, Exception] = {}
        self.may_end = asyncio.Event()
        if open_at_first:
            self.may_end.set()
        self.together = Together[str, str](self._handle, at_most=at_most)

    async def _handle(self, items: Sequence[str]) -> Sequence[str]:
        self.begun.append(list(items))
        self.callers.append(_caller.get())
        await self.may_end.wait()
        for item in items:
            if item in self.refuses:
                raise self.refuses[item]
        return [item.upper() for item in items]

    async def all_of(self, *items: str) -> list[str | BaseException]:
        return await asyncio.gather(*map(self.together, items), return_exceptions=True)


async def test_one_alone_is_handled_at_once() -> None:
    transactions = Transactions()
    assert ["A"] == await transactions.all_of("a")
    assert [["a"]] == transactions.begun


async def test_those_who_come_meanwhile_share_the_next_one() -> None:
    transactions = Transactions(open_at_first=False)
    first = asyncio.create_task(transactions.together("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = asyncio.create_task(transactions.all_of("b", "c", "d"))
    await asyncio.sleep(0)
    transactions.may_end.set()
    assert await first == "A"
    assert ["B", "C", "D"] == await others
    assert [["a"], ["b", "c", "d"]] == transactions.begun


async def test_no_more_than_so_many_at_once() -> None:
    transactions = Transactions(at_most=2)
    assert ["A", "B", "C"] == await transactions.all_of("a", "b", "c")
    assert [["a", "b"], ["c"]] == transactions.begun


async def test_nobody_is_done_before_his_own_transaction() -> None:
    """Its offset would move before its effect."""
    transactions = Transactions(at_most=1, open_at_first=False)
    waiting = [asyncio.create_task(transactions.together(item)) for item in "ab"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [["a"]] == transactions.begun
    assert [False, False] == [task.done() for task in waiting]
    transactions.may_end.set()
    await asyncio.gather(*waiting)


async def test_a_bad_one_fails_alone() -> None:
    """All of them are tried again, each by itself."""
    transactions = Transactions()
    transactions.refuses["b"] = Permanent("no such run", code="unknown_run")
    assert ["A", transactions.refuses["b"], "C"] == await transactions.all_of("a", "b", "c")
    assert [["a", "b", "c"], ["a"], ["b"], ["c"]] == transactions.begun


async def test_an_absent_database_is_asked_once() -> None:
    """Everybody is told, and tries again later."""
    transactions = Transactions()
    away = transactions.refuses["b"] = Temporary("Postgres is away", code="database_unavailable")
    assert [away, away, away] == await transactions.all_of("a", "b", "c")
    assert [["a", "b", "c"]] == transactions.begun


async def test_who_waits_behind_an_absent_database_is_told_as_well() -> None:
    """And does not wait for as long again, each group of them longer than the one before."""
    transactions = Transactions(at_most=2)
    away = transactions.refuses["b"] = Temporary("Postgres is away", code="database_unavailable")
    assert 5 * [away] == await transactions.all_of(*"abcde")
    assert [["a", "b"]] == transactions.begun
    assert ["F", "G"] == await transactions.all_of("f", "g")


async def test_one_who_gave_up_does_not_hold_up_the_others() -> None:
    """Each gets the result of his own item, in the transaction that was under way and in the one after it."""
    transactions = Transactions(at_most=3, open_at_first=False)
    tasks = {item: asyncio.create_task(transactions.together(item)) for item in "abcdef"}
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [["a", "b", "c"]] == transactions.begun
    for gone in "ad":
        tasks[gone].cancel()
    await asyncio.wait([tasks["a"], tasks["d"]])
    transactions.may_end.set()
    assert ["B", "C", "E", "F"] == [await tasks[item] for item in "bcef"]
    assert [["a", "b", "c"], ["e", "f"]] == transactions.begun
    assert ["G"] == await transactions.all_of("g")


async def test_what_is_said_of_one_caller_is_not_said_of_all() -> None:
    """As the id of his request, which would stand in the log beside what befell others."""
    transactions = Transactions()
    token = _caller.set("somebody")
    try:
        await transactions.all_of("a")
    finally:
        _caller.reset(token)
    assert ["nobody"] == transactions.callers


async def test_a_cancellation_that_escapes_from_a_driver_ends_all_waits() -> None:
    """They are cancelled too, which their consumer takes for a failure and repeats; and the next one is handled."""
    transactions = Transactions()
    transactions.refuses["b"] = asyncio.CancelledError()  # type: ignore[assignment]
    answers = await transactions.all_of("a", "b")
    assert [True, True] == [isinstance(answer, asyncio.CancelledError) for answer in answers]
    assert ["C"] == await transactions.all_of("c")
