"""The store's next pages are under way while somebody works on the last one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from libs.common.contracts.definition import Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ScannedStore
from libs.common.objects.stretches import Stretch

PAGES_AHEAD = 2
Each = TypeVar("Each")


@dataclass(frozen=True, slots=True)
class _End:
    """Behind the last page. ``error``: it is the last one because of that."""

    error: Exception | None = None


class ReadAhead:
    """A ``ScannedStore``, in front of another one, for whoever wants all of a listing.

    Up to ``pages_max`` pages wait, and one more is under way. Those that wait come as one: who works on a page has
    the same round trips for it, whether it has a thousand objects or some thousands.
    """

    def __init__(self, store: ScannedStore, pages_max: int = PAGES_AHEAD) -> None:
        self._store = store
        self._pages_max = pages_max
        self.versions = store.versions
        self.first_bytes = store.first_bytes
        self.last_bytes = store.last_bytes
        self.place = store.place
        self.may_list = store.may_list

    def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncGenerator[Sequence[FileVersion], None]:
        return _ahead(self._store.pages(bucket, prefix, credentials), self._pages_max)

    def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncGenerator[Sequence[Stretch], None]:
        return _ahead(self._store.stretches(bucket, prefixes, credentials), self._pages_max)


async def _ahead(pages: AsyncIterator[Sequence[Each]], pages_max: int) -> AsyncGenerator[Sequence[Each], None]:
    waiting: asyncio.Queue[Sequence[Each] | _End] = asyncio.Queue(pages_max)
    reader = asyncio.create_task(_read(pages, waiting))
    try:
        end: _End | None = None
        while end is None:
            page, end = await _all_that_wait(waiting)
            if page:
                yield page
        if end.error is not None:
            raise end.error
    finally:
        reader.cancel()
        await asyncio.wait([reader])


async def _read(pages: AsyncIterator[Sequence[Each]], waiting: asyncio.Queue[Sequence[Each] | _End]) -> None:
    try:
        async for page in pages:
            await waiting.put(page)
    except Exception as e:  # noqa: BLE001  # is raised where the pages are taken, behind those before it
        await waiting.put(_End(e))
    else:
        await waiting.put(_End())


async def _all_that_wait(waiting: asyncio.Queue[Sequence[Each] | _End]) -> tuple[list[Each], _End | None]:
    """At least one page, or the end."""
    page: list[Each] = []
    while not page or not waiting.empty():
        each = await waiting.get()
        if isinstance(each, _End):
            return page, each
        page += each
    return page, None
