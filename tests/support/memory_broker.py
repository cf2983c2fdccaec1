"""A broker in memory that keeps the promises of ``messaging.ports``: topics, groups, rebalances, outages.

The suite in ``tests/contract/messaging`` runs on this one and on Kafka. It can be cut off (``away``), and a topic
can be made anew, as an operator would. It does not lose memberships by itself: call ``disconnect`` for that.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from libs.common.errors import Permanent, Temporary
from libs.common.messaging.ports import NO_HEADERS, AssignmentListener, Incoming, Outgoing, Partition

MESSAGE_BYTES_MAX = 1024 * 1024


@dataclass
class _Group:
    members: list["MemoryConsumer"] = field(default_factory=list)
    offsets: dict[Partition, int] = field(default_factory=dict)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class MemoryBroker:
    """Topics and groups. Everything that was sent stays readable in ``records``."""

    def __init__(self) -> None:
        self.away = False
        self.arrived = asyncio.Event()
        self._logs: dict[Partition, list[Incoming]] = {}
        self._groups: dict[str, _Group] = defaultdict(_Group)

    def create_topic(self, topic: str, partitions: int = 3) -> None:
        """Makes a topic, empty. One that exists is made anew: its messages are gone, its offsets begin at 0."""
        self.delete_topic(topic)
        for number in range(partitions):
            self._logs[Partition(topic, number)] = []

    def delete_topic(self, topic: str) -> None:
        for partition in self.partitions(topic):
            del self._logs[partition]
            for group in self._groups.values():
                group.offsets.pop(partition, None)

    def partitions(self, topic: str) -> list[Partition]:
        return sorted(partition for partition in self._logs if partition.topic == topic)

    def records(self, topic: str) -> list[Incoming]:
        """All messages of a topic, partition by partition."""
        return [record for partition in self.partitions(topic) for record in self._logs[partition]]

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's offsets by partition number."""
        return {p.number: offset for p, offset in self._groups[group].offsets.items() if p.topic == topic}

    def reset(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Moves a group's offsets, and its members to them, as an operator would."""
        self._groups[group].offsets.update(offsets)
        for member in self._groups[group].members:
            member.positions.update({p: o for p, o in offsets.items() if p in member.positions})

    def publisher(self) -> "MemoryPublisher":
        return MemoryPublisher(self)

    def consumer(self, group: str, topics: Sequence[str]) -> "MemoryConsumer":
        return MemoryConsumer(self, group, topics)

    # --- for publisher and consumer -------------------------------------------------------------------------

    def check(self) -> None:
        if self.away:
            raise Temporary("the broker is away", code="kafka_unavailable")

    def append(self, message: Outgoing) -> None:
        partitions = self.partitions(message.topic)
        if not partitions:
            raise Temporary(f"there is no topic {message.topic}", code="kafka_topic_missing")
        partition = partitions[zlib.crc32(message.key.encode()) % len(partitions)]
        log = self._logs[partition]
        headers = {name: text.encode() for name, text in message.headers.items()}
        log.append(Incoming(*partition, len(log), message.key.encode(), message.value, headers))
        self.arrived.set()

    def read(self, partition: Partition, position: int, count: int) -> list[Incoming]:
        """At most ``count`` messages from ``position``; a position that is out of range begins anew, as in Kafka."""
        log = self._logs.get(partition, [])
        return log[position if position <= len(log) else 0 :][:count]

    async def join(self, member: "MemoryConsumer") -> None:
        group = self._groups[member.group]
        async with group.changing:
            group.members.append(member)
            await self._rebalance(group)

    async def leave(self, member: "MemoryConsumer") -> None:
        group = self._groups[member.group]
        async with group.changing:
            if member in group.members:
                group.members.remove(member)
                member.positions.clear()
                await self._rebalance(group)

    def commit(self, member: "MemoryConsumer", offsets: Mapping[Partition, int]) -> None:
        if not set(offsets) <= set(member.positions):
            raise Temporary("these partitions are somebody else's", code="kafka_rebalanced")
        self._groups[member.group].offsets.update(offsets)

    async def _rebalance(self, group: _Group) -> None:
        """Everybody gives everything back, then all is dealt out anew, as Kafka's eager protocol does."""
        for member in group.members:
            if member.positions:
                await member.listener.on_revoked(tuple(member.positions))
            member.positions.clear()
            member.paused.clear()
        topics = {topic for member in group.members for topic in member.topics}
        for number, partition in enumerate(p for topic in sorted(topics) for p in self.partitions(topic)):
            takers = [member for member in group.members if partition.topic in member.topics]
            takers[number % len(takers)].positions[partition] = group.offsets.get(partition, 0)
        for member in group.members:
            member.listener.on_assigned(tuple(member.positions))


class MemoryPublisher:
    """Keeps the promises of ``Publisher``."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def start(self) -> None:
        self._broker.check()

    async def stop(self) -> None: ...

    async def send(self, topic: str, *, key: str, value: bytes, headers: Mapping[str, str] = NO_HEADERS) -> None:
        await self.send_many([Outgoing(topic, key, value, headers)])

    async def send_many(self, messages: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)  # a real send lets others run, too
        self._broker.check()
        for message in messages:
            if len(message.value) > MESSAGE_BYTES_MAX:
                raise Permanent(f"{len(message.value)} bytes are too many", code="message_too_large")
        for message in messages:
            self._broker.append(message)


class MemoryConsumer:
    """Keeps the promises of ``Consumer``."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        self._broker = broker
        self._broken = False
        self.joins = 0
        self.group = group
        self.topics = tuple(topics)
        self.listener: AssignmentListener
        self.positions: dict[Partition, int] = {}
        self.paused: set[Partition] = set()

    async def start(self, listener: AssignmentListener) -> None:
        await self.stop()
        self._broker.check()
        for topic in self.topics:
            if not self._broker.partitions(topic):
                raise Temporary(f"there is no topic {topic}", code="kafka_topic_missing")
        self.listener = listener
        self._broken = False
        self.joins += 1
        await self._broker.join(self)

    async def stop(self) -> None:
        await self._broker.leave(self)

    def disconnect(self) -> None:
        """The next poll finds that the membership is lost."""
        self._broken = True

    async def poll(self, wait: timedelta, max_messages: int) -> Sequence[Incoming]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait.total_seconds()
        while True:
            if self._broken:
                raise Temporary("the membership is lost", code="kafka_unavailable")
            if (batch := self._take(max_messages)) or loop.time() >= until:
                await asyncio.sleep(0)
                return batch
            self._broker.arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.005):  # short: a resume or a rebalance also makes messages appear
                    await self._broker.arrived.wait()

    def pause(self, partitions: Collection[Partition]) -> None:
        self.paused |= set(partitions) & set(self.positions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self.paused -= set(partitions)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        await asyncio.sleep(0)
        self._broker.check()
        self._broker.commit(self, offsets)

    def _take(self, count: int) -> list[Incoming]:
        if self._broker.away:
            return []
        taken: list[Incoming] = []
        for partition, position in self.positions.items():
            if partition not in self.paused:
                records = self._broker.read(partition, position, count - len(taken))
                if records:
                    self.positions[partition] = records[-1].offset + 1
                taken += records
        return taken
