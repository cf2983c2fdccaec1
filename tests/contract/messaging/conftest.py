"""The brokers that keep the promises of ``messaging.ports``: each test runs on both.

Kafka is the one that ``make up`` starts; ``AUTOLOADER_KAFKA_BOOTSTRAP`` points at another.
Topics are made for one test and removed afterwards.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from libs.common.errors import Temporary
from libs.common.messaging.kafka import KafkaConsumer, KafkaPublisher, ping
from libs.common.messaging.kafka.topics import _until_visible
from libs.common.messaging.ports import Consumer, Incoming, Partition, Publisher
from tests.support.memory_broker import MemoryBroker

BOOTSTRAP = os.environ.get("AUTOLOADER_KAFKA_BOOTSTRAP", "localhost:9092")


class Broker(Protocol):
    """What the suite needs to do with a broker."""

    topic: str

    async def create_topic(self, topic: str, partitions: int) -> None: ...
    async def delete_topic(self, topic: str) -> None: ...
    async def publisher(self) -> Publisher: ...
    def unreachable_publisher(self) -> Publisher: ...
    def consumer(self, group: str, topics: Sequence[str]) -> Consumer: ...
    def unreachable_consumer(self) -> Consumer: ...
    async def records(self, topic: str) -> list[Incoming]: ...
    async def committed(self, group: str, topic: str) -> dict[int, int]: ...


class Memory:
    """The memory broker, as the suite sees it."""

    def __init__(self) -> None:
        self.topic = "t"
        self._broker = MemoryBroker()

    async def create_topic(self, topic: str, partitions: int) -> None:
        self._broker.create_topic(topic, partitions)

    async def delete_topic(self, topic: str) -> None:
        self._broker.delete_topic(topic)

    async def publisher(self) -> Publisher:
        return self._broker.publisher()

    def unreachable_publisher(self) -> Publisher:
        broker = MemoryBroker()
        broker.away = True
        return broker.publisher()

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        return self._broker.consumer(group, topics)

    def unreachable_consumer(self) -> Consumer:
        broker = MemoryBroker()
        broker.away = True
        return broker.consumer("g", ["t"])

    async def records(self, topic: str) -> list[Incoming]:
        return self._broker.records(topic)

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        return self._broker.committed(group, topic)


class Kafka:
    """A real one."""

    def __init__(self, admin: AIOKafkaAdminClient, stack: AsyncExitStack) -> None:
        self.topic = f"test-{uuid.uuid4().hex[:12]}"
        self.made: list[str] = []
        self._admin = admin
        self._stack = stack

    async def create_topic(self, topic: str, partitions: int) -> None:
        await self._admin.create_topics([NewTopic(topic, partitions, 1)])
        self.made.append(topic)
        await _until_visible(self._admin, [topic])

    async def delete_topic(self, topic: str) -> None:
        await self._admin.delete_topics([topic])

    async def publisher(self) -> Publisher:
        publisher = KafkaPublisher(BOOTSTRAP, "test", timeout_s=5)
        self._stack.push_async_callback(publisher.stop)
        return publisher

    def unreachable_publisher(self) -> Publisher:
        return KafkaPublisher("localhost:1", "test", timeout_s=2)

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        consumer = KafkaConsumer(BOOTSTRAP, f"{self.topic}.{group}", topics, "test")
        self._stack.push_async_callback(consumer.stop)
        return consumer

    def unreachable_consumer(self) -> Consumer:
        return KafkaConsumer("localhost:1", "g", ["t"], "test")

    async def records(self, topic: str) -> list[Incoming]:
        return await kafka_records(topic)

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        offsets = await self._admin.list_consumer_group_offsets(f"{self.topic}.{group}")
        return {tp.partition: each.offset for tp, each in offsets.items() if tp.topic == topic and each.offset >= 0}


async def kafka_records(topic: str) -> list[Incoming]:
    """All messages of a topic, partition by partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP)
    await consumer.start()
    try:
        await consumer._client._wait_on_metadata(topic)
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found: list[Incoming] = []
        while len(found) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                found += [Incoming(r.topic, r.partition, r.offset, r.key, r.value, dict(r.headers)) for r in batch]
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def require_kafka() -> None:
    """Fails, with the remedy, when there is no broker. Never skips: a suite that did not run proves nothing."""
    try:
        await ping(BOOTSTRAP, 5)
    except Temporary as error:
        pytest.fail(f"{error}; start the local stack with: make up")


@pytest.fixture(params=["memory", "kafka"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    if request.param == "memory":
        yield Memory()
        return
    await require_kafka()
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
        await admin.start()
        stack.push_async_callback(admin.close)
        kafka = Kafka(admin, stack)
        yield kafka
        await asyncio.gather(*(kafka.delete_topic(topic) for topic in kafka.made))


class Listener:
    """Notes what the group does."""

    def __init__(self) -> None:
        self.assigned: set[Partition] = set()
        self.revocations = 0

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        self.revocations += 1
        self.assigned -= set(partitions)

    def on_assigned(self, partitions: Collection[Partition]) -> None:
        self.assigned |= set(partitions)


@pytest.fixture
def listener() -> Listener:
    return Listener()
