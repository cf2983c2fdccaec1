"""Holding a lease while long work goes on.

    async with holding(lambda: ledger.extend(claim), every=lease / 3):
        ...

If the lease turns out to be lost, the work in the block is cancelled and ``Fenced`` comes out of it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from libs.common.errors import Fenced, Temporary
from libs.common.logs import get_logger

_log = get_logger(__name__)


@asynccontextmanager
async def holding(extend: Callable[[], Awaitable[None]], *, every: timedelta) -> AsyncIterator[None]:
    """Extends a lease every so often while the block runs.

    Raises:
        Fenced: ``extend`` did; the block was cancelled where it stood.
    """
    work = asyncio.current_task()
    assert work is not None
    lost: Fenced | None = None

    async def beat() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                await extend()
            except Temporary as error:
                # The database is away. The lease may end meanwhile; the guarded writes will tell.
                _log.warning("lease.not_extended", code=error.code, problem=error.message)
            except Fenced as error:
                lost = error
                work.cancel()
                return

    beating = asyncio.create_task(beat(), name="heartbeat")
    try:
        yield
    except asyncio.CancelledError:
        if lost is not None and work.uncancel() == 0:
            raise lost from None
        raise
    finally:
        beating.cancel()
