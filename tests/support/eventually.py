"""Waiting for something to become true, instead of for time to pass."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

POLL_S = 0.01


async def eventually(
    predicate: Callable[[], Any | Awaitable[Any]], deadline_s: float = 5.0, *, what: str | None = None
) -> Any:
    """Returns the first true answer of ``predicate``, which may be a coroutine function.

    Raises:
        AssertionError: the deadline passed; says what was waited for, and the last answer.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline_s
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if loop.time() >= until:
            raise AssertionError(f"not within {deadline_s} s: {what or _source(predicate)}; last answer: {answer!r}")
        await asyncio.sleep(POLL_S)


def _source(predicate: Callable[[], Any]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):
        return repr(predicate)
