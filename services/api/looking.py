"""The loop of everything in the API that looks for what is due, again and again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from libs.common.errors import Temporary
from libs.common.logs import get_logger

_AFTER_TROUBLE = timedelta(seconds=1)
_log = get_logger(__name__)


async def keep_looking(look: Callable[[], Awaitable[object]], *, every: timedelta, name: str) -> None:
    """Looks after every pause, for ever; ends only by cancellation. An absent database is waited for, bugs are logged:
    as ``<name>.postponed`` and ``<name>.bug``. After either the pause is a second at least."""
    pause = every
    while True:
        await asyncio.sleep(pause.total_seconds())
        pause = max(every, _AFTER_TROUBLE)
        try:
            await look()
            pause = every
        except Temporary as error:
            _log.warning(f"{name}.postponed", code=error.code, problem=error.message)
        except Exception:  # noqa: BLE001 - loud in the log, and the next look still comes
            _log.exception(f"{name}.bug")
