"""One page is worked on, the next one is on its way, and the one after that is not."""

import asyncio
from contextlib import aclosing

import pytest

from libs.common.contracts.definition import Credentials
from libs.common.errors import Temporary
from libs.common.objects.read_ahead import ReadAhead
from tests.support.eventually import eventually
from tests.support.memory_objects import MemoryObjects

NOBODY: Credentials | None = None


def store(files: int, page_size: int = 10) -> MemoryObjects:
    objects = MemoryObjects(page_size=page_size)
    objects.create_bucket("b")
    for n in range(files):
        objects.put("b", f"{n:04}")
    return objects


@pytest.mark.parametrize("files", [0, 1, 10, 95])
async def test_the_same_pages_come_in_the_same_order(files: int) -> None:
    """Also where the last one is full, or there is none."""
    inner = store(files)
    expected = [list(page) async for page in inner.pages("b", "", NOBODY)]
    assert expected == [list(page) async for page in ReadAhead(inner).pages("b", "", NOBODY)]


async def test_the_next_page_comes_while_one_is_worked_on() -> None:
    """And no more than that one, however long the work takes."""
    inner, asked = store(50), [0]
    inner.on_page = lambda number: asked.__setitem__(0, number)
    pages = ReadAhead(inner).pages("b", "", NOBODY)
    assert "0000" == (await anext(pages))[0].key
    await eventually(lambda: _is(asked[0] == 2), 5)
    for _ in range(100):
        await asyncio.sleep(0)
    assert 2 == asked[0]
    assert "0010" == (await anext(pages))[0].key


async def _is(true: bool) -> bool:
    return true


async def test_trouble_comes_behind_the_pages_before_it() -> None:
    """What the store has told already is not lost."""
    inner = store(50)

    def fails(number: int) -> None:
        if number == 3:
            raise Temporary("away", code="storage_unreachable", hint="wait")

    inner.on_page = fails
    seen: list[str] = []
    with pytest.raises(Temporary):
        async for page in ReadAhead(inner).pages("b", "", NOBODY):
            seen += [f.key for f in page]
    assert 20 == len(seen)


@pytest.mark.parametrize("fails", [False, True])
async def test_who_stops_early_leaves_nothing_behind(fails: bool) -> None:
    """Neither a request that goes on, nor an error that nobody fetches."""
    inner = store(50)

    def second(number: int) -> None:
        if fails and number == 2:
            raise Temporary("away", code="storage_unreachable", hint="wait")

    inner.on_page = second
    before = asyncio.all_tasks()
    async with aclosing(ReadAhead(inner).pages("b", "", NOBODY)) as pages:
        async for _ in pages:
            await asyncio.sleep(0)
            break
    assert before == asyncio.all_tasks()
