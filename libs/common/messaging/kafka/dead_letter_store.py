"""Dead letters on Kafka, and the memory of which were replayed: see ``messaging.replay``."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from libs.common.contracts.topics import MESSAGE_BYTES_MAX
from libs.common.errors import Permanent
from libs.common.messaging.dead_letters import SUFFIX
from libs.common.messaging.kafka.errors import translated
from libs.common.messaging.ports import Incoming, Partition
from libs.common.messaging.replay import Replayed

_ANSWER_S = 15.0


class KafkaDeadLetterStore:
    """Keeps the promises of ``DeadLetterStore`` on one cluster; ``open`` makes one."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, prefix: str, group_id: str) -> None:
        self._admin = admin
        self._consumer = consumer  # reads, and commits; it is assigned its partitions and never joins its group
        self._prefix = prefix
        self._group_id = group_id

    @classmethod
    @asynccontextmanager
    async def open(cls, bootstrap: str, prefix: str) -> "AsyncIterator[KafkaDeadLetterStore]":
        """The store of the installation ``prefix``.

        Raises:
            Temporary: code ``kafka_unavailable``.
        """
        group_id = f"{prefix}-dead-letter-replay"
        async with AsyncExitStack() as stack:
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            consumer = AIOKafkaConsumer(
                bootstrap_servers=bootstrap,
                group_id=group_id,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=2 * MESSAGE_BYTES_MAX,
            )
            with translated(f"connecting to {bootstrap}"):
                async with asyncio.timeout(_ANSWER_S):
                    stack.push_async_callback(admin.close)
                    await admin.start()
                    stack.push_async_callback(consumer.stop)
                    await consumer.start()
            yield cls(admin, consumer, prefix, group_id)

    async def topics(self) -> Sequence[str]:
        with translated("listing the topics"):
            names = await self._admin.list_topics()
        return sorted(name for name in names if name.startswith(f"{self._prefix}.") and name.endswith(SUFFIX))

    async def letters(self, topic: str) -> AsyncIterator[Incoming]:
        partitions = await self._partitions(topic)
        with translated(f"reading {topic}"):
            self._consumer.assign(partitions)
            async with asyncio.timeout(_ANSWER_S):
                await self._consumer.seek_to_beginning(*partitions)
                ends = await self._consumer.end_offsets(partitions)
        while True:
            with translated(f"reading {topic}"):
                async with asyncio.timeout(_ANSWER_S):
                    positions = [await self._consumer.position(partition) for partition in partitions]
                    if all(
                        position >= ends[partition] for partition, position in zip(partitions, positions, strict=True)
                    ):
                        return
                    batches = await self._consumer.getmany(timeout_ms=500)
            for records in batches.values():
                for record in records:
                    yield Incoming(
                        record.topic,
                        record.partition,
                        record.offset,
                        record.key,
                        record.value or b"",
                        dict(record.headers),
                    )

    async def replayed(self, topic: str) -> Mapping[Partition, Replayed]:
        with translated(f"reading the offsets of group {self._group_id}"):
            offsets = await self._admin.list_consumer_group_offsets(self._group_id)
        return {
            Partition(where.topic, where.partition): Replayed.parse(kept.offset, kept.metadata)
            for where, kept in offsets.items()
            if where.topic == topic and kept.offset >= 0
        }

    async def remember(self, replayed: Mapping[Partition, Replayed]) -> None:
        with translated(f"committing offsets of group {self._group_id}"):
            async with asyncio.timeout(_ANSWER_S):
                await self._consumer.commit(
                    {TopicPartition(*where): (each.before, each.metadata) for where, each in replayed.items()}
                )

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        with translated(f"asking for the partitions of {topic}"):
            [described] = await self._admin.describe_topics([topic])
        if not described["partitions"]:
            raise Permanent(
                f"there is no topic {topic}",
                code="no_such_topic",
                hint="autoloader dead-letters list names those that there are",
            )
        return [TopicPartition(topic, each["partition"]) for each in described["partitions"]]
