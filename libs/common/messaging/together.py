"""Effects of many messages in one transaction, for handlers that get their messages one by one.

A transaction costs a handful of round trips, however much is in it. While one is under way, whoever comes next waits,
and all who wait share the one after it: alone, a message is handled at once; in a flood, hundreds share the cost.

To the consumer's loop nothing changes. A call returns when its own effect is durable, so offsets move after the effect;
messages of one key still come one after another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from libs.common.errors import Temporary
from libs.common.logs import get_logger

T = TypeVar("T")
_log = get_logger(__name__)


class Together(Generic[T]):
    """``handle`` has the effect of all that it is given, or of nothing. One call of it is under way at a time."""

    def __init__(self, handle: Callable[[Sequence[T]], Awaitable[None]], *, at_most: int) -> None:
        """``at_most``: how many one call of ``handle`` is given."""
        self._handle = handle
        self._at_most = at_most
        self._waiting: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> None:
        """Returns when the effect of ``item`` is durable; raises what ``handle`` raised of it."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="together")
        await done

    async def _work(self) -> None:
        taken: list[tuple[T, asyncio.Future[None]]] = []
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self._at_most, len(self._waiting)))]
                # Who was cancelled meanwhile does not want it any more.
                await self._see_to([(item, done) for item, done in taken if not done.done()])
        except BaseException:  # a cancellation: of this task, or one that escaped from a driver; nobody waits for ever
            for _, done in (*taken, *self._waiting):
                done.cancel()
            self._waiting.clear()
            raise
        finally:
            self._working = None

    async def _see_to(self, taken: Sequence[tuple[T, asyncio.Future[None]]]) -> None:
        error = await self._error_of([item for item, _ in taken])
        # One bad message must not fail the others, so each is tried alone; not while the database is away, which
        # would only be asked in vain once for each.
        if error is not None and len(taken) > 1 and not isinstance(error, Temporary):
            _log.warning("together.failed", items=len(taken), problem=str(error))
            for one in taken:
                await self._see_to([one])
            return
        for _, done in taken:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    async def _error_of(self, items: Sequence[T]) -> Exception | None:
        try:
            if items:
                await self._handle(items)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            return error
        return None
