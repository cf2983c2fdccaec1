"""Members with a name that outlives them, on the real broker: the memory broker has no session timeouts to outlive."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from libs.common.errors import Permanent
from libs.common.messaging.kafka import KafkaConsumer
from libs.common.messaging.kafka.topics import _until_visible
from tests.contract.messaging.conftest import BOOTSTRAP, Listener, require_kafka
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract

Members = Callable[[str | None], KafkaConsumer]


@pytest.fixture
async def member() -> AsyncIterator[Members]:
    """Makes members of one group, that reads one topic of four partitions."""
    await require_kafka()
    topic = f"test-{uuid.uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
        await admin.start()
        stack.push_async_callback(admin.close)
        await admin.create_topics([NewTopic(topic, 4, 1)])
        stack.push_async_callback(admin.delete_topics, [topic])
        await _until_visible(admin, [topic])

        def make(name: str | None) -> KafkaConsumer:
            consumer = KafkaConsumer(BOOTSTRAP, f"{topic}.g", [topic], "test", name)
            stack.push_async_callback(consumer.stop)
            return consumer

        yield make


async def keep_polling(consumer: KafkaConsumer) -> None:
    while True:
        await consumer.poll(timedelta(milliseconds=100), 100)


async def test_a_member_that_returns_gets_its_partitions_back_without_a_rebalance(member: Members) -> None:
    """The other one is not even told; it keeps its share all the time."""
    mine, yours, again = Listener(), Listener(), Listener()
    stays, leaves, returns = member("replica-0"), member("replica-1"), member("replica-1")
    await stays.start(mine)
    polling = asyncio.create_task(keep_polling(stays))
    await leaves.start(yours)
    await eventually(lambda: (2, 2) == (len(mine.assigned), len(yours.assigned)), 15)
    told = mine.revocations
    await leaves.stop()
    await returns.start(again)
    assert yours.assigned == again.assigned
    # Three heartbeats without a word: a member learns of a rebalance from the next one.
    with pytest.raises(AssertionError):
        await eventually(lambda: mine.revocations > told, 3)
    assert not mine.assigned & again.assigned
    polling.cancel()


async def test_two_processes_with_one_name_end_with_one(member: Members) -> None:
    """The older one is told whom it collides with, and does not throw the newer one out again."""
    older, newer, listener = member("replica-0"), member("replica-0"), Listener()
    await older.start(Listener())
    polling = asyncio.create_task(keep_polling(older))
    await newer.start(listener)
    with pytest.raises(Permanent) as raised:
        await asyncio.wait_for(polling, 15)
    assert "kafka_member_fenced" == raised.value.code
    assert "replica-0" in raised.value.message
    await older.stop()
    polling = asyncio.create_task(keep_polling(newer))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(polling, 3)
    assert (4, 0) == (len(listener.assigned), listener.revocations)


async def test_a_member_without_a_name_gives_its_partitions_up_at_once(member: Members) -> None:
    """Nobody waits for its session to run out."""
    mine, yours = Listener(), Listener()
    stays, leaves = member(None), member(None)
    await stays.start(mine)
    polling = asyncio.create_task(keep_polling(stays))
    await leaves.start(yours)
    await eventually(lambda: (2, 2) == (len(mine.assigned), len(yours.assigned)), 15)
    await leaves.stop()
    await eventually(lambda: 4 == len(mine.assigned), 5)
    polling.cancel()
