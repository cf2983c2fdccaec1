"""Several things at once: the first failure ends the rest and is the one that the caller sees, not a group of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*work: Coroutine[Any, Any, Any]) -> None:
    """Run all of `work`; when one fails, cancel the others, wait for them, and raise that failure."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise first_leaf(failures) from None


def first_leaf(failure: BaseException) -> BaseException:
    """The first exception in nested groups that is not a group itself."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
