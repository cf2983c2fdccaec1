"""A listing by several requests at once: every key once, however keys lie and whoever is slow."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.objects.side_by_side import Pace, Part, Place, SideBySide

PREFIX = "in/"
SLOW = Pace(at_once=3, pages=1, slow_s=0, page_keys=1)
_folders = st.lists(st.sampled_from("abc"), max_size=3)
_names = st.sampled_from(["", "0", "a", "a0", "b", "b0", "z"])
keys_of_a_store = st.sets(
    st.builds(lambda folders, name: PREFIX + "/".join([*folders, name]), _folders, _names), min_size=8, max_size=40
)


class Listed:
    """Keys in memory, listed as a store lists them: some at a time, in order."""

    def __init__(self, keys: Collection[str], page_size: int = 2, *, breaks_at: str | None = None) -> None:
        self.keys = sorted(keys)
        self._page_size = page_size
        self._breaks_at = breaks_at
        self.forbidden: set[str] = set()
        self.asked_ahead = 0
        self.under_way = self.most_under_way = 0

    async def walk(self, part: Part) -> AsyncGenerator[Sequence[str], None]:
        below = [key for key in self.keys if key.startswith(part.prefix)]
        for start in range(0, len(below) + 1, self._page_size):
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            await asyncio.sleep(0)
            self.under_way -= 1
            page = below[start : start + self._page_size]
            if self._breaks_at in page:
                raise RuntimeError("the store is away")
            within = [key for key in page if part.has(key)]
            if within:
                part.go_on(within[-1], len(within))
            yield within
            if len(within) < len(page) or part.is_over:
                return

    async def look(self, prefix: str, after: str) -> Place[str] | None:
        self.asked_ahead += 1
        await asyncio.sleep(0)
        below = [key.removeprefix(prefix) for key in self.keys if key.startswith(prefix)]
        folders = sorted({f"{prefix}{name.split('/')[0]}/" for name in below if "/" in name})
        return Place(folders, [prefix + name for name in below if "/" not in name and prefix + name > after])

    async def may_walk(self, prefix: str) -> bool:
        return prefix not in self.forbidden


async def listed(store: Listed, pace: Pace = SLOW, **more: Any) -> list[str]:
    return [key async for page in SideBySide(store, [PREFIX], pace, **more).pages() for key in page]


@settings(max_examples=1_000)
@example({f"{PREFIX}{key}" for key in ("a/b/1", "a/b/2", "a/c/1", "a/z", "z")}, 1, 3)
@given(keys_of_a_store, st.integers(1, 4), st.integers(1, 5))
def test_every_key_is_listed_once(keys: set[str], page_size: int, at_once: int) -> None:
    """Cut as often as it can be."""
    store = Listed(keys, page_size)
    found = asyncio.run(listed(store, Pace(at_once, pages=1, slow_s=0, page_keys=1)))
    assert sorted(keys) == sorted(found)
    assert store.most_under_way <= at_once


async def test_folders_are_listed_at_the_same_time() -> None:
    """No more at once than allowed, and less when a store is asked for little."""
    store = Listed([f"{PREFIX}{folder:02}/{name:03}" for folder in range(12) for name in range(40)])
    assert store.keys == sorted(await listed(store, Pace(4, pages=2, slow_s=0, page_keys=4)))
    assert 4 == store.most_under_way


async def test_a_store_that_answers_at_once_is_asked_for_one_page_at_a_time() -> None:
    """In order, and for nothing else."""
    store = Listed([f"{PREFIX}{folder:02}/{name:03}" for folder in range(12) for name in range(40)])
    assert store.keys == await listed(store, Pace(4, pages=2, slow_s=0.1), seconds=lambda: 0.0)
    assert (1, 0) == (store.most_under_way, store.asked_ahead)


async def test_a_store_that_begins_slowly_is_not_slow() -> None:
    """It looks for the first page, and has the others at hand. The clock is read before and after each page."""
    store = Listed([f"{PREFIX}{folder:02}/{name:03}" for folder in range(6) for name in range(20)])
    clock = chain([0.0, 10.0], repeat(10.0))
    assert store.keys == await listed(store, Pace(4, pages=2, slow_s=0.1, page_keys=1), seconds=lambda: next(clock))
    assert 1 == store.most_under_way


async def test_small_folders_are_not_listed_one_by_one() -> None:
    """That would be more requests, not less time."""
    store = Listed([f"{PREFIX}{folder:03}/{name}" for folder in range(200) for name in range(3)])
    assert store.keys == await listed(store, Pace(4, pages=2, slow_s=0, page_keys=4))
    assert 1 == store.most_under_way


async def test_keys_in_no_order_are_not_parted() -> None:
    """Nobody knows what is ahead then."""
    store = Listed([f"{PREFIX}{folder:02}/{name:03}" for folder in range(6) for name in range(10)])
    store.keys.reverse()
    assert store.keys == await listed(store)
    assert 1 == store.most_under_way


async def test_folders_that_nobody_may_list_are_left_where_they_are() -> None:
    """There are policies that name one prefix."""
    store = Listed([f"{PREFIX}{folder:02}/{name:03}" for folder in range(6) for name in range(10)])
    store.forbidden.add(f"{PREFIX}05/")
    assert store.keys == await listed(store)


async def test_a_request_that_is_cancelled_by_others_is_an_error() -> None:
    """Nobody waits for it for ever."""

    class Cancelled(Listed):
        async def walk(self, part: Part) -> AsyncGenerator[Sequence[str], None]:
            async for page in super().walk(part):
                yield page
                raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled"):
        await asyncio.wait_for(listed(Cancelled([f"{PREFIX}a", f"{PREFIX}b"], 1)), 5)


async def test_what_lies_flat_is_hardly_asked_about() -> None:
    """Each look ahead is a request that brings nothing."""
    store = Listed([f"{PREFIX}{name:04}" for name in range(600)])
    assert store.keys == await listed(store, Pace(4, pages=4, slow_s=0))
    assert store.asked_ahead <= 7


async def test_an_error_comes_behind_what_was_told() -> None:
    """Of every range, as far as it came."""
    keys = [f"{PREFIX}{folder:02}/{name:03}" for folder in range(6) for name in range(10)]
    found: list[str] = []
    with pytest.raises(RuntimeError, match="away"):
        async for page in SideBySide(Listed(keys, breaks_at=keys[-1]), [PREFIX], SLOW).pages():
            found += page
    assert len(found) == len(set(found)) > 10


async def test_who_takes_no_more_leaves_nobody_behind() -> None:
    """Its readers end with it."""
    store = Listed([f"{PREFIX}{folder:02}/{name:03}" for folder in range(12) for name in range(40)])
    pages = SideBySide(store, [PREFIX], SLOW).pages()
    for _ in range(5):
        await anext(pages)
    before = asyncio.all_tasks()
    await pages.aclose()
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert len(before) > 1
