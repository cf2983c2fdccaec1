"""Takes up work that nobody holds: its holder vanished, or its message never came (I5).

Every process of a service sweeps. The claim decides who gets what was found; the others find it taken and go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from libs.common.aside import Aside
from libs.common.errors import AutoloaderError, Fenced
from libs.common.logs import get_logger

Work = TypeVar("Work", bound=Hashable)
_log = get_logger(__name__)


class Sweeper(Generic[Work]):
    """One kind of work of one process. Nothing that a piece of work does holds up another one, or ends the sweeping.

    ``find`` returns at most so many pieces as it is asked for, most urgent first. ``take`` claims one and sees it
    through. ``at_once`` bounds what sweeping adds to the work that came by message. ``aside`` says when this process
    leaves the work to others.
    """

    def __init__(
        self,
        find: Callable[[int], Awaitable[Sequence[Work]]],
        take: Callable[[Work], Awaitable[None]],
        *,
        kind: str,
        interval: timedelta,
        at_once: int,
        aside: Aside | None = None,
    ) -> None:
        self._find = find
        self._take = take
        self._kind = kind
        self._interval = interval
        self._at_once = at_once
        self._aside = aside
        self._under_way: set[Work] = set()

    async def run(self) -> None:
        """Looks every ``interval``, for ever. Ends only by cancellation, which the work under way gets too."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(self._interval.total_seconds())
                if self._aside is None or not self._aside.is_on():
                    await self._sweep(tasks)

    async def _sweep(self, tasks: asyncio.TaskGroup) -> None:
        free = self._at_once - len(self._under_way)
        if free == 0:
            return
        try:
            found = await self._find(self._at_once)
        except AutoloaderError as error:
            _log.warning("sweep.failed", kind=self._kind, code=error.code, problem=error.message)
            return
        except Exception:  # noqa: BLE001 - our bug; loud, and the next sweep still comes
            _log.exception("sweep.bug", kind=self._kind)
            return
        # What is under way here and found all the same has lost its lease: it is for another process.
        for work in [each for each in found if each not in self._under_way][:free]:
            self._under_way.add(work)
            tasks.create_task(self._see_through(work), name=f"sweep of {self._kind} {work}")

    async def _see_through(self, work: Work) -> None:
        log = _log.bind(kind=self._kind, work=str(work))
        log.info("sweep.taken_up")
        try:
            await self._take(work)
        except Fenced:
            return
        except AutoloaderError as error:
            log.warning("sweep.failed", code=error.code, problem=error.message)
        except Exception:
            # Our bug in one piece must not end the sweeping of the others.
            log.exception("sweep.bug")
        finally:
            self._under_way.discard(work)
