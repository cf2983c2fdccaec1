"""One listing by several requests at once, for stores that take their time for each thousand keys.

A listing begins at its first key, as any. When some pages have shown that the store is slow, the folders that lie ahead
are listed by themselves, several at a time. Who comes to an end of his leaves room, and one that is large is parted
again: so nobody needs to know beforehand where the keys are. Not where folders are small: each is a request at least.
And a store that answers at once is left alone, since it would not be any faster.

Parts are folders, and no ranges of keys: MinIO loses keys behind ``start-after`` when a folder's name begins as that of
another one. What a store is asked is its own affair (``Parted``). Pages come in no order, and only a few of them wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Generic, Protocol, TypeVar

Each = TypeVar("Each")
_DEPTHS_MAX = 6
"""Folders inside of folders that are looked into; each is a request."""


@dataclass(slots=True)
class Part:
    """The keys below ``prefix``, as far as they are still to be listed: those below the folder ``inside`` of it (None:
    all), and none any more if it ``is_over``. The listing stands behind ``at``."""

    prefix: str
    inside: str | None = None
    is_over: bool = False
    at: str = ""
    _pages: list[tuple[str, int]] = field(default_factory=list)
    _is_ordered: bool = True

    def has(self, key: str) -> bool:
        """Whether a key below the prefix is still one of this part's."""
        return not self.is_over and (self.inside is None or key.startswith(self.inside))

    def go_on(self, last: str, count: int) -> None:
        """So many keys were listed, up to this one."""
        self._is_ordered = self._is_ordered and last > self.at
        self._pages.append((last, count))
        self.at = last

    def part_with(self, place: str, folders: Sequence[str], size_min: int) -> Sequence[str]:
        """The folders that are ahead, of all at ``place``, the first one that has such; they are this part's no more,
        nor is any object that is ahead and in none of the others. None if there are none, if those that it has seen
        have less than ``size_min`` keys each, or if keys came in no order, so that nobody knows what is ahead."""
        ahead = [f for f in folders if f > self.at]
        behind = max(1, len(folders) - len(ahead))
        seen = sum(count for _, count in takewhile(lambda page: page[0].startswith(place), reversed(self._pages)))
        if not self._is_ordered or not ahead or seen < size_min * behind:
            return ()
        self.inside = next((f for f in folders if self.at.startswith(f)), None)
        self.is_over = self.inside is None
        return ahead


@dataclass(frozen=True, slots=True)
class Place(Generic[Each]):
    """What lies right below a prefix: all ``folders``, in order, and of the objects ``beside`` them some."""

    folders: Sequence[str]
    beside: Sequence[Each]


class Parted(Protocol[Each]):
    """A listing that can be asked for some of its folders."""

    def walk(self, part: Part) -> AsyncGenerator[Sequence[Each], None]:
        """Page by page, what the part has. Tells it of each page (``go_on``), and asks anew for each what it still
        ``has``."""
        ...

    async def look(self, prefix: str, after: str) -> Place[Each] | None:
        """What lies right below a prefix, with the objects behind ``after``. None if nobody can tell all of it in one
        answer, or if it is not in order."""
        ...

    async def may_walk(self, prefix: str) -> bool:
        """Whether it is allowed to list a folder by itself."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """``at_once``: requests under way, at most. ``pages`` pages in turn that took ``slow_s`` or more have a listing
    parted. ``page_keys``: how many a page has at most; a store may send less (S3: 1,000)."""

    at_once: int = 4
    pages: int = 4
    slow_s: float = 0.04
    page_keys: int = 1000


@dataclass(frozen=True, slots=True)
class _End:
    """Of a part. ``error``: because of that."""

    error: Exception | None = None


class SideBySide(Generic[Each]):
    """One listing, once, of what lies below ``prefixes``, none of which lies below another. ``seconds`` is a clock."""

    def __init__(
        self,
        store: Parted[Each],
        prefixes: Sequence[str],
        pace: Pace,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pace = pace
        self._seconds = seconds
        self._waiting: asyncio.Queue[Sequence[Each] | _End] = asyncio.Queue(pace.at_once)
        self._parts = deque(map(Part, prefixes))
        self._readers: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def pages(self) -> AsyncGenerator[Sequence[Each], None]:
        """Everything, once. Raises what the store raises, behind what it had told by then."""
        error: Exception | None = None
        under_way = self._begin()
        try:
            while under_way and error is None:
                page = await self._waiting.get()
                if isinstance(page, _End):
                    error = page.error
                    under_way += self._begin() - 1
                else:
                    yield page
                    under_way += self._begin()
            await self._close()
            while not self._waiting.empty():
                if not isinstance(page := self._waiting.get_nowait(), _End):
                    yield page
        finally:
            await self._close()
        if error is not None:
            raise error

    async def _close(self) -> None:
        self._is_closing = True
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _begin(self) -> int:
        """Begins with parts that wait, as far as there is room; returns with how many."""
        begun = 0
        while self._parts and self._room() > 0:
            reader = asyncio.create_task(self._read(self._parts.popleft()))
            self._readers.add(reader)
            begun += 1
        return begun

    async def _read(self, part: Part) -> None:
        end = _End()
        try:
            await self._list(part)
        except Exception as e:  # noqa: BLE001  # is raised where the pages are taken
            end = _End(e)
        except asyncio.CancelledError:
            if self._is_closing:
                raise
            end = _End(RuntimeError(f"the listing of {part.prefix!r} was cancelled, by none of us"))
        await self._waiting.put(end)
        self._readers.discard(asyncio.current_task())

    async def _list(self, part: Part) -> None:
        patience, slow_pages = self._pace.pages, 0
        async with aclosing(self._store.walk(part)) as walk:
            while True:
                began = self._seconds()
                if (page := await anext(walk, None)) is None:
                    return
                # One after the other: a store may think for long before its first page.
                slow_pages = slow_pages + 1 if self._seconds() - began >= self._pace.slow_s else 0
                await self._waiting.put(page)
                if slow_pages >= patience and self._room() > len(self._parts):
                    slow_pages = 0
                    if not await self._part(part):
                        patience *= 2  # it lies flat, or in small folders: each look ahead is a request more

    async def _part(self, part: Part) -> bool:
        """Leaves to others what lies ahead of the folder where the part's listing stands, from above the first one that
        has another one ahead. Whether it did."""
        beside: list[Each] = []
        for prefix in islice(_on_the_way(part.inside or part.prefix, part.at), _DEPTHS_MAX):
            place = await self._store.look(prefix, part.at)
            if place is None:
                return False
            beside += place.beside
            if place.folders and place.folders[-1] > part.at:
                if not await self._store.may_walk(place.folders[-1]):
                    return False
                if not (folders := part.part_with(prefix, place.folders, self._pace.page_keys)):
                    return False
                self._parts.extend(map(Part, folders))
                await self._waiting.put(beside)
                return True
        return False

    def _room(self) -> int:
        return self._pace.at_once - len(self._readers)


def _on_the_way(prefix: str, key: str) -> Iterator[str]:
    """The prefix, and the folders below it in which the key lies, from above."""
    yield prefix
    at = len(prefix)
    while (slash := key.find("/", at)) >= 0:
        at = slash + 1
        yield key[:at]
