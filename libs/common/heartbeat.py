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

    A cancellation from outside stays a cancellation, also when the lease is lost at the same time.

    Raises:
        Fenced: ``extend`` did; the block was cancelled where it stood, whatever it made of that.
    """
    work = asyncio.current_task()
    assert work is not None
    cancelled_before = work.cancelling()
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
            except Exception:  # noqa: BLE001 - our bug; as above, and loud: a silent end would cost the lease
                _log.exception("lease.not_extended")

    beating = asyncio.create_task(beat(), name="heartbeat")
    try:
        yield
    except BaseException as error:
        beating.cancel()
        if lost is None:
            raise
        # Our own cancellation is taken back. What came out of the block may be that, or what became of it on its way.
        is_cancelled_from_outside = work.uncancel() > cancelled_before
        if is_cancelled_from_outside and isinstance(error, asyncio.CancelledError):
            raise
        raise lost from error
    beating.cancel()
    if lost is not None:
        work.uncancel()
        raise lost
