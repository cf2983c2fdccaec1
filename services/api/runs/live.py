"""Runs, as they change, told to everybody who listens.

One loop per process looks at all runs that somebody follows, in one question to Postgres, and tells their listeners
what changed: a hundred listeners of a run cost what one costs. The projector says which runs it has changed, and then
it looks at once; of what others do, and other processes, it learns half a second later. ``LISTEN`` would tell of that,
too, at a price: a connection of its own that may die without a word, a trigger, and a question at the beginning and
after each break all the same.

A listener that is slow is told the newest state and not those before it, so nothing piles up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from libs.common.errors import AutoloaderError, Unavailable
from libs.common.logs import get_logger
from services.api.runs.event_stream import KEEP_ALIVE, RETRY, event_of
from services.api.runs.schemas import RunOut

INTERVAL = timedelta(seconds=0.5)
REST = timedelta(seconds=0.1)
"""Between two looks, however much changes."""
# Less than the patience of common proxies, and than that of our own client.
KEEP_ALIVE_EVERY = timedelta(seconds=10)
_log = get_logger(__name__)

Mark = tuple[str, str | None]
"""Differs when something about a run does: the version of its row, and what it waits for."""
UNSEEN: Mark = ("", None)
"""Of a run that nobody has looked at."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A run as it was seen at one moment."""

    run: RunOut
    seq: int
    mark: Mark

    @property
    def is_over(self) -> bool:
        return self.run.ended_at is not None


Look = Callable[[Mapping[UUID, Mark]], Awaitable[Mapping[UUID, Sight]]]
"""Of the given runs, those whose mark has changed."""


@dataclass(slots=True)
class _Followed:
    """A run that somebody follows. ``changed`` is set, and replaced, with each new sight."""

    sight: Sight
    event: bytes
    listeners: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, sight: Sight) -> None:
        self.sight, self.event = sight, event_of(sight.run, sight.seq)
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class LiveRuns:
    """All runs that are followed in this process. ``listeners_max`` bounds who may follow at the same time."""

    def __init__(
        self,
        look: Look,
        *,
        listeners_max: int,
        interval: timedelta = INTERVAL,
        rest: timedelta = REST,
        keep_alive: timedelta = KEEP_ALIVE_EVERY,
    ) -> None:
        self._look = look
        self._listeners_max = listeners_max
        self._interval_s = interval.total_seconds()
        self._rest_s = min(rest, interval).total_seconds()
        self._keep_alive_s = keep_alive.total_seconds()
        self._followed: dict[UUID, _Followed] = {}
        self._stopping = asyncio.Event()
        self._has_news = asyncio.Event()

    def hint(self, changed: Collection[UUID]) -> None:
        """These runs may have changed. If somebody follows one of them, it is looked at now."""
        if any(run_id in self._followed for run_id in changed):
            self._has_news.set()

    def listen(self, first: Sight, after: int | None = None) -> "Listener":
        """What is told of the run from ``first`` on; to one who knows it up to seq ``after``, what is newer. The caller
        closes it.

        Raises:
            Unavailable: codes ``too_many_listeners``, ``stopping``.
        """
        if self._stopping.is_set():
            raise Unavailable("this process is stopping", code="stopping", hint="ask again: another one answers")
        if sum(each.listeners for each in self._followed.values()) >= self._listeners_max:
            raise Unavailable(
                f"{self._listeners_max} clients follow runs here already",
                code="too_many_listeners",
                hint=f"ask for GET /api/v1/ingestions/{first.run.ingestion_id}/runs/{first.run.id} from time to time; "
                "AUTOLOADER_EVENT_LISTENERS_MAX allows more",
            )
        run_id = first.run.id
        followed = self._followed.get(run_id)
        if followed is None:
            followed = self._followed[run_id] = _Followed(first, event_of(first.run, first.seq))
        elif first.seq > followed.sight.seq:
            followed.show(first)
        followed.listeners += 1
        return Listener(followed, after, self._keep_alive_s, self._stopping, lambda: self._leave(run_id, followed))

    def _leave(self, run_id: UUID, followed: _Followed) -> None:
        followed.listeners -= 1
        if followed.listeners == 0:
            del self._followed[run_id]

    async def run(self) -> None:
        """Looks every interval, and when it has a hint, until it is asked to stop. An absent database is waited for,
        bugs are logged."""
        while not self._stopping.is_set():
            self._has_news.clear()
            if self._followed:
                await self._look_again()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._rest_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), self._interval_s - self._rest_s)

    async def _look_again(self) -> None:
        try:
            seen = await self._look({run_id: followed.sight.mark for run_id, followed in self._followed.items()})
        except AutoloaderError as error:
            _log.warning("events.postponed", code=error.code, problem=error.message)
        except Exception:  # noqa: BLE001 - our bug; loud, and the next look still comes
            _log.exception("events.bug")
        else:
            for run_id, sight in seen.items():
                followed = self._followed.get(run_id)
                if followed is not None and sight.seq >= followed.sight.seq:  # one who came meanwhile may know more
                    followed.show(sight)

    def request_stop(self) -> None:
        """Ends all streams and ``run``. Clients come back to another process, with the id of their last event."""
        self._stopping.set()
        self._has_news.set()
        for followed in self._followed.values():
            followed.wake()


class Listener:
    """What is told to one client: bytes, until the run is over or the process stops."""

    def __init__(
        self,
        followed: _Followed,
        after: int | None,
        keep_alive_s: float,
        stopping: asyncio.Event,
        leave: Callable[[], None],
    ) -> None:
        self._followed = followed
        self._after = after
        self._keep_alive_s = keep_alive_s
        self._stopping = stopping
        self._leave: Callable[[], None] | None = leave
        self._known: Sight | None = None
        self._has_begun = False

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            return RETRY
        while not self._stopping.is_set() and not (self._known and self._known.is_over):
            # Taken before anything is awaited: a change that comes meanwhile sets this very event.
            changed, sight, is_first = self._followed.changed, self._followed.sight, self._known is None
            if sight is not self._known:
                self._known = sight
                if not is_first or sight.is_over or self._after is None or sight.seq > self._after:
                    return self._followed.event
            try:
                await asyncio.wait_for(changed.wait(), self._keep_alive_s)
            except TimeoutError:
                return KEEP_ALIVE
        raise StopAsyncIteration

    def close(self) -> None:
        """May be called twice."""
        if self._leave is not None:
            self._leave()
            self._leave = None
