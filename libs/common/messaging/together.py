"""Effects of many items in one transaction, for handlers that get them one by one: messages, or requests.

A transaction costs a handful of round trips, however much is in it. While one is under way, whoever comes next waits,
and all who wait share the one after it: alone, an item is handled at once; in a flood, hundreds share the cost.

To a consumer's loop nothing changes. A call returns when its own effect is durable, so offsets move after the effect;
messages of one key still come one after another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, NamedTuple, TypeVar

from libs.common.errors import Temporary
from libs.common.logs import get_logger

T = TypeVar("T")
R = TypeVar("R")
_log = get_logger(__name__)


class _Waiting(NamedTuple, Generic[T, R]):
    """An item, and what its caller waits for."""

    item: T
    result: asyncio.Future[R]


class Together(Generic[T, R]):
    """``handle`` has the effect of all that it is given, or of nothing. One call of it is under way at a time."""

    def __init__(self, handle: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, at_most: int) -> None:
        """``handle`` returns a result for each item, in their order. ``at_most``: how many items one call is given."""
        self._handle = handle
        self._at_most = at_most
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """The result of ``item``, as soon as its effect is durable; raises what ``handle`` raised of it."""
        one = _Waiting[T, R](item, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if self._working is None:
            # In a context of its own: what is bound to the log for this caller is not true of the others.
            self._working = asyncio.create_task(self._work(), name="together", context=Context())
        return await one.result

    async def _work(self) -> None:
        taken: list[_Waiting[T, R]] = []
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self._at_most, len(self._waiting)))]
                # Who was cancelled meanwhile does not want it any more.
                await self._see_to([one for one in taken if not one.result.done()])
        except BaseException:  # a cancellation: of this task, or one that escaped from a driver; nobody waits for ever
            for one in (*taken, *self._waiting):
                one.result.cancel()
            self._waiting.clear()
            raise
        finally:
            self._working = None

    async def _see_to(self, taken: Sequence[_Waiting[T, R]]) -> None:
        if not taken:
            return
        try:
            results = await self._handle([one.item for one in taken])
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            await self._failed(taken, error)
            return
        for one, result in zip(taken, results, strict=True):
            if not one.result.done():
                one.result.set_result(result)

    async def _failed(self, taken: Sequence[_Waiting[T, R]], error: Exception) -> None:
        # One bad item must not fail the others, so each is tried alone; not while the database is away, which would
        # only be asked in vain once for each.
        if len(taken) > 1 and not isinstance(error, Temporary):
            _log.warning("together.failed", items=len(taken), problem=str(error))
            for one in taken:
                await self._see_to([one])
            return
        # Who waits behind them would wait in vain for as long again, and the next ones longer.
        behind = [*self._waiting] if isinstance(error, Temporary) else []
        if behind:
            self._waiting.clear()
        for one in (*taken, *behind):
            if not one.result.done():
                one.result.set_exception(error)
