"""What every consumer promises."""

import asyncio
import time
from datetime import timedelta

import pytest

from libs.common.errors import Temporary
from libs.common.messaging.ports import Consumer, Incoming, Outgoing, Partition
from tests.contract.messaging.conftest import Broker, Listener
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract

POLL = timedelta(milliseconds=100)


async def read(consumer: Consumer, count: int, deadline_s: float = 15) -> list[Incoming]:
    """Polls until ``count`` messages are there."""
    found: list[Incoming] = []
    async with asyncio.timeout(deadline_s):
        while len(found) < count:
            found += await consumer.poll(POLL, 100)
    return found


async def fill(broker: Broker, count: int, partitions: int = 3) -> None:
    await broker.create_topic(broker.topic, partitions)
    publisher = await broker.publisher()
    await publisher.send_many([Outgoing(broker.topic, f"k{n}", str(n).encode()) for n in range(count)])


async def test_a_new_group_reads_from_the_beginning(broker: Broker, listener: Listener) -> None:
    """What was sent before the first service started is not lost; each partition comes in order."""
    await fill(broker, 50)
    consumer = broker.consumer("g", [broker.topic])
    await consumer.start(listener)
    found = await read(consumer, 50)
    assert {str(n).encode() for n in range(50)} == {m.value for m in found}
    for number in range(3):
        assert sorted(offsets := [m.offset for m in found if m.partition == number]) == offsets


async def test_partitions_are_assigned_before_their_first_message(broker: Broker, listener: Listener) -> None:
    """So that the bookkeeping is ready for it."""
    await fill(broker, 10)
    consumer = broker.consumer("g", [broker.topic])
    await consumer.start(listener)
    found = await read(consumer, 10)
    assert {m.source for m in found} <= listener.assigned
    assert {Partition(broker.topic, n) for n in range(3)} == listener.assigned


async def test_a_message_arrives_within_a_moment(broker: Broker, listener: Listener) -> None:
    """A waiting consumer is woken, not found at the end of a poll."""
    await fill(broker, 0)
    consumer, publisher = broker.consumer("g", [broker.topic]), await broker.publisher()
    await consumer.start(listener)
    await publisher.send(broker.topic, key="warm", value=b"up")
    await read(consumer, 1)
    waits = []
    for n in range(20):
        reading = asyncio.create_task(read(consumer, 1))
        await asyncio.sleep(0.01)
        began = time.monotonic()
        await publisher.send(broker.topic, key=f"k{n}", value=b"v")
        await reading
        waits.append(time.monotonic() - began)
    assert sorted(waits)[len(waits) // 2] < 0.1


async def test_the_group_goes_on_from_what_was_committed(broker: Broker, listener: Listener) -> None:
    """And only from that: what was read but not committed comes again."""
    await fill(broker, 6, partitions=1)
    first = broker.consumer("g", [broker.topic])
    await first.start(listener)
    await read(first, 6)
    await first.commit({Partition(broker.topic, 0): 4})
    assert {0: 4} == await broker.committed("g", broker.topic)
    await first.stop()
    await first.stop()
    second = broker.consumer("g", [broker.topic])
    await second.start(listener)
    assert [4, 5] == [m.offset for m in await read(second, 2)]


async def test_groups_do_not_disturb_each_other(broker: Broker) -> None:
    """Each reads everything."""
    await fill(broker, 5)
    for group in ("g", "h"):
        consumer = broker.consumer(group, [broker.topic])
        await consumer.start(Listener())
        assert 5 == len(await read(consumer, 5))


async def test_paused_partitions_wait_and_lose_nothing(broker: Broker, listener: Listener) -> None:
    """Also when messages were already on their way."""
    await fill(broker, 30)
    consumer = broker.consumer("g", [broker.topic])
    await consumer.start(listener)
    found = list(await consumer.poll(timedelta(seconds=5), 1))
    assert 1 == len(found)
    consumer.pause(tuple(listener.assigned))
    for _ in range(5):
        assert [] == list(await consumer.poll(POLL, 100))
    consumer.resume(tuple(listener.assigned))
    found += await read(consumer, 29)
    assert {str(n).encode() for n in range(30)} == {m.value for m in found}
    assert 30 == len(found)


async def test_no_more_messages_than_asked_for(broker: Broker, listener: Listener) -> None:
    """The loop's memory is bounded."""
    await fill(broker, 40)
    consumer = broker.consumer("g", [broker.topic])
    await consumer.start(listener)
    seen = 0
    async with asyncio.timeout(15):
        while seen < 40:
            batch = await consumer.poll(POLL, 3)
            assert len(batch) <= 3
            seen += len(batch)


async def test_a_second_member_takes_its_share(broker: Broker) -> None:
    """The first is told before, and may still commit; nobody else reads its partitions."""
    await fill(broker, 0, partitions=4)
    first, second, mine, yours = (
        broker.consumer("g", [broker.topic]),
        broker.consumer("g", [broker.topic]),
        Listener(),
        Listener(),
    )
    await first.start(mine)
    assert 4 == len(mine.assigned)
    polling = asyncio.create_task(_keep_polling(first))
    began = time.monotonic()
    await second.start(yours)
    await eventually(lambda: (2, 2) == (len(mine.assigned), len(yours.assigned)), 10)
    assert time.monotonic() - began < 5
    assert not mine.assigned & yours.assigned
    assert 1 == mine.revocations
    await second.stop()
    await eventually(lambda: 4 == len(mine.assigned), 10)
    polling.cancel()


async def test_a_commit_for_a_lost_partition_is_refused(broker: Broker) -> None:
    """Its new owner decides now."""
    await fill(broker, 3, partitions=1)
    consumer = broker.consumer("g", [broker.topic])
    await consumer.start(Listener())
    with pytest.raises(Temporary) as raised:
        await consumer.commit({Partition(broker.topic, 7): 1})
    assert "kafka_rebalanced" == raised.value.code
    assert {} == await broker.committed("g", broker.topic)


async def test_an_absent_broker_is_an_error_that_may_pass(broker: Broker, listener: Listener) -> None:
    """Known at once."""
    async with asyncio.timeout(5):
        with pytest.raises(Temporary) as raised:
            await broker.unreachable_consumer().start(listener)
    assert "kafka_unavailable" == raised.value.code


async def test_a_stopped_consumer_may_start_again(broker: Broker, listener: Listener) -> None:
    """The loop does so after a lost membership."""
    await fill(broker, 2, partitions=1)
    consumer = broker.consumer("g", [broker.topic])
    for _ in range(2):
        await consumer.start(listener)
        assert 2 == len(await read(consumer, 2))
        await consumer.stop()


async def _keep_polling(consumer: Consumer) -> None:
    while True:
        await consumer.poll(POLL, 100)
