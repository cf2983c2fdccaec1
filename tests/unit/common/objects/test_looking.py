"""Keys looked up by pages of a listing: each version is that of the store, for fewer requests."""

from collections.abc import Sequence

import pytest

from libs.common.ledger.model.files import FileVersion
from libs.common.objects.looking import TOLD_MIN, listed
from tests.support.memory_objects import PAGE, MemoryObjects


class Pages:
    """A store's pages, and which were asked for."""

    def __init__(self, *keys: str, ignores_start: bool = False) -> None:
        self._objects = MemoryObjects()
        self._ignores_start = ignores_start
        self.asked: list[tuple[str, str]] = []
        for key in keys:
            self._objects.put("b", key)

    async def after(self, prefix: str, key: str) -> Sequence[FileVersion]:
        self.asked.append((prefix, key))
        there = sorted(self._objects.buckets["b"].items(), key=lambda item: item[0].encode())
        start = b"" if self._ignores_start else key.encode()
        return [f for name, f in there if name.startswith(prefix) and name.encode() > start][:PAGE]


KEYS = [f"in/{n:05}.json" for n in range(2_500)]


async def test_keys_side_by_side_take_a_page_for_a_thousand() -> None:
    """From the first of them on, whatever stands before."""
    pages = Pages("in/0000.json", *KEYS, "in/zzz")
    found = await listed(KEYS[500:], pages.after)
    assert KEYS[500:] == list(found)
    assert [("in/0", "in/00500.jso"), ("in/0", "in/01500.jso")] == pages.asked


async def test_what_no_page_tells_of_is_left_to_be_asked_for() -> None:
    """It may be gone, or listed out of order."""
    found = await listed(KEYS[:100], Pages(*KEYS[:60], *KEYS[61:]).after)
    assert set(KEYS[:100]) - {KEYS[60]} == found.keys()


@pytest.mark.parametrize("wanted", [KEYS[: TOLD_MIN - 1], KEYS[::25]])
async def test_pages_that_tell_of_few_are_not_asked_for_again(wanted: list[str]) -> None:
    """A page costs as much as some dozens of single requests."""
    pages = Pages(*KEYS)
    await listed(wanted, pages.after)
    assert len(pages.asked) <= 1


async def test_a_store_that_starts_where_it_likes_is_not_asked_for_ever() -> None:
    """It gives the same page each time."""
    pages = Pages(*KEYS, ignores_start=True)
    found = await listed(KEYS[500:], pages.after)
    assert KEYS[500:1_000] == list(found)
    assert 2 == len(pages.asked)


async def test_keys_are_in_the_order_of_their_bytes() -> None:
    """As the store has them; Python's own order is that of code points, and agrees."""
    keys = [f"in/{letter}{n:02}" for letter in ("a", "é", "\uffee", "\U0001f600") for n in range(30)]
    found = await listed(keys, Pages(*keys).after)
    assert set(keys) == found.keys()
