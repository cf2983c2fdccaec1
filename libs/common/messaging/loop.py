"""Consumes messages and knows no business.

What an offset means here: everything before a committed offset has had its effect, durably. So offsets move after
the effect, over the finished prefix only (``offsets``). A crash at any line repeats messages and loses none.
What a rebalance does: finished work is committed while it still counts, waiting messages are dropped (their new
owner gets them), running handlers may end: effects are idempotent. What a full pipeline does: it pauses partitions
and keeps polling, because a consumer that stops polling is removed from its group, and some writes take minutes.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from random import Random

from libs.common import metrics
from libs.common.contracts.codec import Envelope, decode
from libs.common.contracts.events import Message
from libs.common.errors import Permanent, Temporary
from libs.common.logs import get_logger
from libs.common.messaging.attempt import Attempts, Handler
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.messaging.lanes import Item, LaneKey, Lanes
from libs.common.messaging.offsets import Offsets
from libs.common.messaging.outcome import Done, backoff, jittered
from libs.common.messaging.ports import Consumer, Incoming, Partition

__all__ = ["ConsumerLoop", "Handler"]

_POLL = timedelta(milliseconds=100)
_log = get_logger(__name__)


class ConsumerLoop:
    """One member of one consumer group, with its handlers.

    Messages with one (partition, key) are handled one after another, others side by side, at most ``concurrency``
    at once. ``problem`` says in one line why nothing is consumed at the moment, or is None.
    """

    def __init__(
        self,
        consumer: Consumer,
        handlers: Mapping[type[Message], Handler],
        dead_letters: DeadLetters,
        *,
        concurrency: int,
        name: str = "consumer",
        decode: Callable[[bytes], Envelope] = decode,
        waiting_max: int | None = None,
        commit_interval: timedelta = timedelta(milliseconds=200),
        stop_deadline: timedelta = timedelta(seconds=8),
        random: Random | None = None,
    ) -> None:
        """
        Args:
            handlers: by message type. Known types without a handler are passed over; unknown ones are set aside.
            name: of this consumer in logs and metrics.
            decode: bytes to envelope; another one serves topics that are not ours, such as bucket notifications.
            waiting_max: messages held in memory; beyond it partitions are paused. Default: 4 per handler, least 64.
            stop_deadline: how long running handlers may take to end before they are cancelled; less than the
                deadline of the service's task, so that what is finished can still be committed.
        """
        self.problem: str | None = None
        self._consumer = consumer
        self._attempts = Attempts(handlers, dead_letters, decode)
        self._name = name
        self._held_max = waiting_max or max(64, 4 * concurrency)
        self._commit_interval = commit_interval
        self._stop_deadline = stop_deadline
        self._random = random or Random()
        self._slots = asyncio.Semaphore(concurrency)
        self._offsets = Offsets()
        self._lanes = Lanes(self._offsets)
        self._workers: set[asyncio.Task[None]] = set()
        self._assigned: set[Partition] = set()
        self._paused = False
        self._stop = asyncio.Event()
        self._failure: Exception | None = None
        self._committed_at = 0.0

    def request_stop(self) -> None:
        """Ends ``run`` soon: nothing new is begun, what runs may end within the deadline. May be called twice."""
        self._stop.set()

    async def run(self) -> None:
        """Consumes until ``request_stop``. An absent broker is waited for.

        Raises:
            Permanent: code ``too_many_dead_letters`` or ``kafka_member_fenced``.
        """
        failures = 0
        try:
            while not self._stop.is_set():
                try:
                    await self._membership()
                except Temporary as error:
                    failures = 1 if self.problem is None else failures + 1
                    self.problem = error.message
                    _log.warning("consumer.waiting", consumer=self._name, code=error.code, problem=error.message)
                    await self._sleep(jittered(backoff(failures), self._random))
        finally:
            await self._cancel_workers()
        if self._failure is not None:
            raise self._failure

    async def _membership(self) -> None:
        """From joining the group to leaving it. Handlers that outlive a broken membership go on (see ``lanes``)."""
        try:
            if await self._start():
                self.problem = None
                _log.info("consumer.joined", consumer=self._name)
                while not self._stop.is_set():
                    await self._turn()
                await self._finish_running()
                await self._commit()
        finally:
            self._forget(tuple(self._assigned))
            await self._consumer.stop()

    async def _start(self) -> bool:
        """Joins the group, which may take long; False if the stop came first."""
        start = asyncio.ensure_future(self._consumer.start(self))
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
            return start.done()
        finally:
            for task in (start, stop):
                task.cancel()
            await asyncio.gather(start, stop, return_exceptions=True)

    async def _turn(self) -> None:
        """One iteration: take in what came, hold back if full, commit what is finished."""
        room = max(1, self._held_max - len(self._lanes))
        for message in await self._consumer.poll(_POLL, room):
            if message.source in self._assigned:  # else it was revoked while the poll was on its way back
                self._accept(message)
        if not self._paused and len(self._lanes) >= self._held_max:
            self._paused = True
            self._consumer.pause(tuple(self._assigned))
        if time.monotonic() - self._committed_at >= self._commit_interval.total_seconds():
            await self._commit()

    def _accept(self, message: Incoming) -> None:
        key = self._lanes.accept(message)
        if key is not None:
            worker = asyncio.create_task(self._work(key), name=f"{self._name}:{message.topic}/{message.partition}")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        metrics.MESSAGES_IN_FLIGHT.labels(consumer=self._name).set(len(self._lanes))

    # --- one lane, one message ----------------------------------------------------------------------------

    async def _work(self, key: LaneKey) -> None:
        """Handles the messages of one lane, one after another, until it is empty."""
        while (item := self._lanes.head(key)) is not None:
            handled = False
            try:
                handled = await self._see_through(item)
            except Permanent as error:  # the dead letters' limit: the message stays, the consumer ends
                self._failure = error
                _log.error("consumer.stopped", consumer=self._name, code=error.code, problem=error.message)
                self._stop.set()
            finally:
                self._lanes.finish(key, handled=handled)
            metrics.MESSAGES_IN_FLIGHT.labels(consumer=self._name).set(len(self._lanes))
            if self._paused and len(self._lanes) <= self._held_max // 2:
                self._paused = False
                self._consumer.resume(tuple(self._assigned))

    async def _see_through(self, item: Item) -> bool:
        """Tries until the message is done or set aside (True), or nobody wants it here any more (False)."""
        attempt = 0
        while not self._stop.is_set() and self._lanes.is_wanted(item):
            async with self._slots:  # not held during pauses: one source that is away must not hold up the others
                if self._stop.is_set() or not self._lanes.is_wanted(item):
                    break
                attempt += 1
                outcome = await self._attempts.attempt(item.message, attempt)
            if isinstance(outcome, Done):
                return True
            await self._sleep(jittered(outcome.after, self._random))
        return False

    # --- offsets and the group ----------------------------------------------------------------------------

    async def _commit(self, partitions: Collection[Partition] | None = None) -> None:
        """Commits what is finished. A failure costs repetitions, so it is only mentioned."""
        self._committed_at = time.monotonic()
        offsets = self._offsets.to_commit(partitions)
        if offsets:
            try:
                await self._consumer.commit(offsets)
            except Temporary as error:
                _log.info("consumer.commit_failed", consumer=self._name, code=error.code, problem=error.message)
                if error.code == "kafka_unavailable":
                    self.problem = error.message
            else:
                self._offsets.committed(offsets)
                self.problem = None

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        try:
            await self._commit(partitions)
        finally:  # whatever came of it: held on to, they would make every later commit fail
            self._forget(partitions)

    def on_assigned(self, partitions: Collection[Partition]) -> None:
        self.problem = None
        self._assigned |= set(partitions)
        if self._paused:
            self._consumer.pause(tuple(partitions))

    def _forget(self, partitions: Collection[Partition]) -> None:
        self._assigned -= set(partitions)
        self._lanes.forget(partitions)
        self._offsets.forget(partitions)

    # --- stopping -----------------------------------------------------------------------------------------

    async def _sleep(self, pause: timedelta) -> None:
        """Waits for ``pause``, or until the stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._stop.wait()

    async def _finish_running(self) -> None:
        if self._workers:
            await asyncio.wait(self._workers, timeout=self._stop_deadline.total_seconds())

    async def _cancel_workers(self) -> None:
        """Only what outlived its deadline is left by now."""
        workers = tuple(self._workers)
        for worker in workers:
            _log.warning("consumer.handler_cancelled", consumer=self._name, worker=worker.get_name())
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
