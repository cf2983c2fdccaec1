"""Brings what lies in a queue to whoever handles it, and deletes it when that is done.

The order is: receive, take in, delete. What if the process stops in between? The queue hands the messages out again
when their hold is over; taking them in twice is harmless. A message that cannot be handled becomes a dead letter, as
those of our topics do. A queue that is missing, or that we may not read, is told and asked again: the service stays up.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import TypeVar

from libs.common import metrics
from libs.common.errors import AutoloaderError, Permanent
from libs.common.failpoints import failpoint
from libs.common.heartbeat import holding
from libs.common.logs import get_logger
from libs.common.messaging.attempt import Attempts
from libs.common.messaging.outcome import BACKOFF_MAX, Done, RetryLater, backoff, jittered
from libs.common.messaging.ports import Incoming
from services.scanner.ports import Delivery, Queue

WAIT = timedelta(seconds=20)
HOLD = timedelta(seconds=60)
NO_PARTITION = -1

T = TypeVar("T")
_log = get_logger(__name__)


class QueuePoller:
    """Of one queue. ``receivers`` ask it side by side; each has what came in one answer in work at a time.

    ``topic`` is the one whose messages these could be as well: its dead letters are theirs.
    """

    def __init__(
        self,
        queue: Queue,
        attempts: Attempts,
        *,
        topic: str,
        receivers: int,
        wait: timedelta = WAIT,
        hold: timedelta = HOLD,
        random: Random | None = None,
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        self._topic = topic
        self._receivers = receivers
        self._wait = wait
        self._hold = hold
        self._random = random or Random()
        self._stop = asyncio.Event()
        self._troubles: dict[int, str] = {}

    @property
    def problem(self) -> str | None:
        """Of the receiver that has met one, if any has."""
        return next(iter(self._troubles.values()), None)

    def request_stop(self) -> None:
        """Ends ``run`` soon: nothing is received any more, what was received is seen through. May be called twice."""
        self._stop.set()

    async def run(self) -> None:
        """Polls until ``request_stop``, whatever the queue says."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._receivers):
                group.create_task(self._receive_on(number), name=f"{self._queue.name}:{number}")

    async def _receive_on(self, number: int) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                deliveries = await self._unless_stopped(self._queue.receive(wait=self._wait, hold=self._hold)) or ()
                pause = await self._see_through(number, deliveries) if deliveries else timedelta()
            except AutoloaderError as error:
                failures += 1
                self._troubled(number, error)
                pause = jittered(backoff(failures), self._random)
            else:
                failures = 0
                if not pause:
                    self._well(number)
            if pause:
                await self._unless_stopped(asyncio.sleep(pause.total_seconds()))

    async def _see_through(self, number: int, deliveries: Sequence[Delivery]) -> timedelta:
        """Handles them side by side. For how long to leave the queue alone: as long as a message has to wait."""
        async with holding(lambda: self._queue.hold(deliveries, self._hold), every=self._hold / 3):
            outcomes = await asyncio.gather(*(self._attempt(number, each) for each in deliveries))
        done = [delivery for delivery, outcome in zip(deliveries, outcomes, strict=True) if isinstance(outcome, Done)]
        if done:
            failpoint("queue.after_take")
            await self._queue.delete(done)
        waits = [(each, o.after) for each, o in zip(deliveries, outcomes, strict=True) if isinstance(o, RetryLater)]
        for delivery, after in waits:
            await self._queue.hold([delivery], after)
        return max((after for _, after in waits), default=timedelta())

    async def _attempt(self, number: int, delivery: Delivery) -> Done | RetryLater:
        message = Incoming(self._topic, NO_PARTITION, 0, delivery.message_id.encode(), delivery.body)
        try:
            return await self._attempts.attempt(message, delivery.times)
        except Permanent as error:  # the dead letters' limit: what comes stays in the queue, and is asked for slowly
            self._troubled(number, error)
            return RetryLater(BACKOFF_MAX)

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        """What ``work`` returns; None if the stop came first. It is given up then."""
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            for task in (working, stopped):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(working, stopped, return_exceptions=True)

    def _troubled(self, number: int, error: AutoloaderError) -> None:
        if error.message not in self._troubles.values():
            _log.warning("queue.stuck", queue=self._queue.name, code=error.code, problem=error.message, hint=error.hint)
        self._troubles[number] = error.message
        metrics.QUEUE_PROBLEM.labels(queue=self._queue.name).set(1)

    def _well(self, number: int) -> None:
        if self._troubles.pop(number, None) is not None and not self._troubles:
            _log.info("queue.recovered", queue=self._queue.name)
        metrics.QUEUE_PROBLEM.labels(queue=self._queue.name).set(bool(self._troubles))
