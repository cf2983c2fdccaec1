"""The consumer loop on real partitions and groups: what the unit tests cannot show."""

import asyncio
from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

import pytest

from libs.common.contracts.codec import Envelope, encode
from libs.common.contracts.events import FileBatchPlanned
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.messaging.loop import ConsumerLoop
from libs.common.messaging.ports import Outgoing
from tests.contract.messaging.conftest import Broker
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract


def message(topic: str, number: int, key: str) -> Outgoing:
    planned = FileBatchPlanned(
        batch_id=uuid4(), run_id=UUID(int=0), ingestion_id=UUID(int=0), generation=1, file_count=number, size_bytes=0
    )
    return Outgoing(topic, key, encode(planned, source="test", time=datetime.now(UTC)))


class Members:
    """Consumer loops of one group that note which numbers they handled."""

    def __init__(self, broker: Broker) -> None:
        self.handled: list[int] = []
        self._broker = broker
        self._running: list[tuple[ConsumerLoop, asyncio.Task[None]]] = []

    async def handle(self, envelope: Envelope) -> None:
        await asyncio.sleep(0.001)
        assert isinstance(envelope.message, FileBatchPlanned)
        self.handled.append(envelope.message.file_count)

    async def join(self) -> None:
        consumer = self._broker.consumer("g", [self._broker.topic])
        letters = DeadLetters(await self._broker.publisher())
        loop = ConsumerLoop(consumer, {FileBatchPlanned: self.handle}, letters, concurrency=4)
        self._running.append((loop, asyncio.create_task(loop.run())))

    async def leave(self) -> None:
        """A clean stop."""
        loop, task = self._running.pop(0)
        loop.request_stop()
        await asyncio.wait_for(task, 10)

    async def die(self) -> None:
        """Gone in the middle of things, without a last commit."""
        _, task = self._running.pop(0)
        task.cancel()
        await asyncio.wait((task,), timeout=10)

    @property
    def count(self) -> int:
        return len(self._running)

    async def everybody_leaves(self) -> None:
        while self._running:
            await self.leave()


async def test_messages_are_handled_and_committed(broker: Broker) -> None:
    """The whole way, with poison in between (F23)."""
    await broker.create_topic(broker.topic, 3)
    await broker.create_topic(f"{broker.topic}.dlq", 1)
    publisher, members = await broker.publisher(), Members(broker)
    await members.join()
    await publisher.send_many([message(broker.topic, n, f"k{n % 5}") for n in range(100)])
    await publisher.send(broker.topic, key="k1", value=b"poison")
    await publisher.send_many([message(broker.topic, n, f"k{n % 5}") for n in range(100, 200)])
    await eventually(lambda: 200 == len(members.handled), 15)
    await members.everybody_leaves()
    assert list(range(200)) == sorted(members.handled)
    assert 201 == sum((await broker.committed("g", broker.topic)).values())
    [letter] = await broker.records(f"{broker.topic}.dlq")
    assert (b"poison", b"undecodable") == (letter.value, letter.headers["code"])


async def test_members_that_come_and_die_lose_no_message_and_keep_each_keys_order(broker: Broker) -> None:
    """Membership changes all the time while messages flow (F24)."""
    await broker.create_topic(broker.topic, 6)
    await broker.create_topic(f"{broker.topic}.dlq", 1)
    publisher, members, random = await broker.publisher(), Members(broker), Random(11)
    await members.join()
    for wave in range(8):
        await publisher.send_many([message(broker.topic, n, f"k{n % 7}") for n in range(wave * 50, wave * 50 + 50)])
        if members.count > 2 or (members.count > 1 and random.random() < 0.4):
            await (members.die() if random.random() < 0.5 else members.leave())
        else:
            await members.join()
        await asyncio.sleep(0.3)  # lets a rebalance begin, so that the next change falls into it
    await eventually(lambda: set(range(400)) == set(members.handled), 40, what="all 400 messages handled")
    await members.everybody_leaves()
    for key in range(7):
        firsts = list(dict.fromkeys(n for n in members.handled if n % 7 == key))
        assert sorted(firsts) == firsts
    assert 400 == sum((await broker.committed("g", broker.topic)).values())


async def test_a_topic_that_is_deleted_and_made_anew_is_read_on(broker: Broker) -> None:
    """Old offsets mean nothing any more; the consumer finds the new beginning by itself (F22)."""
    await broker.create_topic(broker.topic, 1)
    publisher, members = await broker.publisher(), Members(broker)
    await members.join()
    await publisher.send_many([message(broker.topic, n, "k") for n in range(20)])
    await eventually(lambda: 20 == len(members.handled), 15)
    await broker.delete_topic(broker.topic)
    await asyncio.sleep(0.5)  # the broker deletes in the background
    await broker.create_topic(broker.topic, 1)
    again = await broker.publisher()
    await again.send_many([message(broker.topic, n, "k") for n in range(100, 105)])
    await eventually(lambda: set(range(100, 105)) <= set(members.handled), 40, what="messages of the new topic")
    await members.everybody_leaves()


async def test_a_topic_that_is_missing_at_the_start_is_waited_for(broker: Broker) -> None:
    """Its maker may start later; and a stop is obeyed while waiting."""
    members = Members(broker)
    await members.join()
    await asyncio.sleep(0.3)
    await broker.create_topic(broker.topic, 1)
    await (await broker.publisher()).send_many([message(broker.topic, 1, "k")])
    await eventually(lambda: [1] == members.handled, 15)
    await members.everybody_leaves()


async def test_a_stop_is_obeyed_while_waiting_for_a_topic(broker: Broker) -> None:
    """Nobody waits for a request's timeout."""
    members = Members(broker)
    await members.join()
    await asyncio.sleep(0.3)
    async with asyncio.timeout(3):
        await members.everybody_leaves()
