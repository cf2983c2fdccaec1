"""A topic, a group and handlers, in memory: what the tests of the loop have in common."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

from libs.common.contracts.codec import Envelope, encode
from libs.common.contracts.events import FileBatchPlanned, Message
from libs.common.messaging.dead_letters import DeadLetterLimit, DeadLetters
from libs.common.messaging.loop import ConsumerLoop, Handler
from tests.support.memory_broker import MemoryBroker, MemoryConsumer

TOPIC, GROUP = "t", "g"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def planned(number: int) -> FileBatchPlanned:
    """A message with a number to recognise it by."""
    return FileBatchPlanned(
        batch_id=uuid4(), run_id=UUID(int=0), ingestion_id=UUID(int=0), generation=1, file_count=number, size_bytes=0
    )


def number_of(envelope: Envelope) -> int:
    message = envelope.message
    assert isinstance(message, FileBatchPlanned)
    return message.file_count


class NoPause(Random):
    """Back-off without waiting."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


class World:
    """One broker; loops are made and stopped by name."""

    def __init__(self, partitions: int = 1) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, partitions)
        self.broker.create_topic(f"{TOPIC}.dlq", 1)
        self.began: list[int] = []
        self.ended: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}
        self.errors: dict[int, list[BaseException]] = defaultdict(list)  # raised in turn, then success
        self.most_at_once = 0
        self._running: Counter[int] = Counter()
        self._tasks: list[tuple[ConsumerLoop, asyncio.Task[None]]] = []

    async def send(self, *numbers: int, key: str = "k") -> None:
        for number in numbers:
            value = encode(planned(number), source="test", time=NOW)
            await self.broker.publisher().send(TOPIC, key=key, value=value)

    async def send_raw(self, value: bytes, key: str = "k") -> None:
        await self.broker.publisher().send(TOPIC, key=key, value=value)

    def hold(self, *numbers: int) -> None:
        """The handlers of these messages wait until ``release``."""
        for number in numbers:
            self.gates[number] = asyncio.Event()

    def release(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set()

    async def handle(self, envelope: Envelope) -> None:
        number = number_of(envelope)
        self.began.append(number)
        self._running[number] += 1
        self.most_at_once = max(self.most_at_once, self._running.total())
        try:
            if number in self.gates:
                await self.gates[number].wait()
            if self.errors[number]:
                raise self.errors[number].pop(0)
            self.ended.append(number)
        finally:
            self._running[number] -= 1

    def loop(
        self,
        *,
        concurrency: int = 4,
        handlers: Mapping[type[Message], Callable[[Envelope], Awaitable[None]]] | None = None,
        limit: DeadLetterLimit | None = None,
        **options: Any,
    ) -> tuple[ConsumerLoop, MemoryConsumer]:
        """A running loop, and its consumer. ``close`` ends it."""
        consumer = self.broker.consumer(GROUP, [TOPIC])
        chosen: Mapping[type[Message], Handler] = handlers or {FileBatchPlanned: self.handle}
        options = {"commit_interval": timedelta(0), "random": NoPause(), **options}
        letters = DeadLetters(self.broker.publisher(), limit=limit)
        loop = ConsumerLoop(consumer, chosen, letters, concurrency=concurrency, **options)
        self._tasks.append((loop, asyncio.create_task(loop.run())))
        return loop, consumer

    def task(self, loop: ConsumerLoop) -> asyncio.Task[None]:
        return next(task for each, task in self._tasks if each is loop)

    def committed(self) -> dict[int, int]:
        return self.broker.committed(GROUP, TOPIC)

    async def stop(self, loop: ConsumerLoop) -> None:
        loop.request_stop()
        await asyncio.wait_for(self.task(loop), 5)

    async def close(self) -> None:
        for gate in self.gates.values():
            gate.set()
        for loop, task in self._tasks:
            loop.request_stop()
            await asyncio.wait((task,), timeout=5)
            task.cancel()
