"""Some pages are worked on, a few wait, one is on its way, and the ones after that are not."""

import asyncio
from contextlib import aclosing

import pytest

from libs.common.contracts.definition import Credentials
from libs.common.errors import Temporary
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.read_ahead import ReadAhead
from tests.support.memory_objects import MemoryObjects

NOBODY: Credentials | None = None


def store(files: int, page_size: int = 10) -> MemoryObjects:
    objects = MemoryObjects(page_size=page_size)
    objects.create_bucket("b")
    for n in range(files):
        objects.put("b", f"{n:04}")
    return objects


async def rest_of_the_loop() -> None:
    """Whatever can go on without us has gone on."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.parametrize("files", [0, 1, 10, 95])
@pytest.mark.parametrize("slow", [False, True])
async def test_every_object_comes_once_and_in_order(files: int, slow: bool) -> None:
    """Also where the last page is full, or there is none; whoever is faster."""
    inner = store(files)
    expected = [f for page in [page async for page in inner.pages("b", "", NOBODY)] for f in page]
    found: list[FileVersion] = []
    async for page in ReadAhead(inner, 2).pages("b", "", NOBODY):
        found += page
        if slow:
            await rest_of_the_loop()
    assert expected == found


async def test_so_many_pages_wait_while_one_is_worked_on_and_come_as_one() -> None:
    """No more of them, however long the work takes."""
    inner, asked = store(90), list[int]()
    inner.on_page = asked.append
    async with aclosing(ReadAhead(inner, 3).pages("b", "", NOBODY)) as pages:
        sizes = [len(await anext(pages))]
        await rest_of_the_loop()
        assert [1, 2, 3, 4, 5] == asked  # three wait, and one would
        sizes.append(len(await anext(pages)))
    assert [10, 30] == sizes


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
    async with aclosing(ReadAhead(inner, 1).pages("b", "", NOBODY)) as pages:
        async for _ in pages:
            await rest_of_the_loop()
            break
    assert before == asyncio.all_tasks()
