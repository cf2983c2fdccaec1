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
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Each = TypeVar("Each")


@dataclass(slots=True)
class Part:
    """The keys below ``prefix``, as far as they are still to be listed: those below the folder ``inside`` of it (None:
    all), and none any more if it ``is_over``. The listing stands behind ``at``, after ``seen`` keys."""

    prefix: str
    inside: str | None = None
    is_over: bool = False
    at: str = ""
    seen: int = 0

    def has(self, key: str) -> bool:
        """Whether a key below the prefix is still one of this part's."""
        return not self.is_over and (self.inside is None or key.startswith(self.inside))

    def part_with(self, folders: Sequence[str], size_min: int) -> Sequence[str]:
        """The folders that are ahead, of all at one place; they are this part's no more, nor is what lies beside them.
        None if there are none, or if those that it has seen have less than ``size_min`` keys each."""
        ahead = [f for f in folders if f > self.at]
        behind = max(1, len(folders) - len(ahead))
        if not ahead or self.seen < size_min * behind:
            return ()
        self.inside = next((f for f in folders if self.at.startswith(f)), None)
        self.is_over = self.inside is None
        return ahead


@dataclass(frozen=True, slots=True)
class Place(Generic[Each]):
    """What lies at one place: all ``folders``, in order, and of the objects ``beside`` them those that are ahead."""

    folders: Sequence[str]
    beside: Sequence[Each]


class Parted(Protocol[Each]):
    """A listing that can be asked for some of its folders."""

    def walk(self, part: Part) -> AsyncGenerator[Sequence[Each], None]:
        """Page by page, what the part has. Moves ``at`` and ``seen`` with each page, and asks anew for each what the
        part still ``has``."""
        ...

    async def ahead(self, part: Part) -> Place[Each] | None:
        """The place of the least depth that has folders ahead; None if there is none, or nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """``at_once``: requests under way, at most. After ``pages`` pages that took ``slow_s`` each, it is parted.
    ``page_keys``: how many a page has at most; a store may send less (S3: 1,000)."""

    at_once: int = 4
    pages: int = 4
    slow_s: float = 0.04
    page_keys: int = 1000


@dataclass(frozen=True, slots=True)
class _End:
    """Of a range. ``error``: because of that."""

    error: Exception | None = None


class SideBySide(Generic[Each]):
    """One listing, once. ``seconds`` is a clock."""

    def __init__(
        self, store: Parted[Each], prefix: str, pace: Pace, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._pace = pace
        self._seconds = seconds
        self._waiting: asyncio.Queue[Sequence[Each] | _End] = asyncio.Queue(pace.at_once)
        self._parts = deque([Part(prefix)])
        self._readers: set[asyncio.Task[None]] = set()

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
            while not self._waiting.empty():
                if not isinstance(page := self._waiting.get_nowait(), _End):
                    yield page
        finally:
            for reader in self._readers:
                reader.cancel()
            await asyncio.gather(*self._readers, return_exceptions=True)
        if error is not None:
            raise error

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
        await self._waiting.put(end)
        self._readers.discard(asyncio.current_task())

    async def _list(self, part: Part) -> None:
        patience, pages, waited_s = self._pace.pages, 0, 0.0
        async with aclosing(self._store.walk(part)) as walk:
            while True:
                began = self._seconds()
                if (page := await anext(walk, None)) is None:
                    return
                waited_s += self._seconds() - began
                pages += 1
                await self._waiting.put(page)
                if pages >= patience and waited_s >= pages * self._pace.slow_s and self._room() > len(self._parts):
                    pages, waited_s = 0, 0.0
                    if not await self._part(part):
                        patience *= 2  # it lies flat, or in small folders: each look ahead is a request more

    async def _part(self, part: Part) -> bool:
        place = await self._store.ahead(part)
        folders = place and part.part_with(place.folders, self._pace.page_keys)
        if not place or not folders:
            return False
        self._parts.extend(map(Part, folders))
        await self._waiting.put(place.beside)
        return True

    def _room(self) -> int:
        return self._pace.at_once - len(self._readers)
