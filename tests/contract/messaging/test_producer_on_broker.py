"""The idempotent producer behind the publisher, on a real broker: what breaks one must not break its successor."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from libs.common.errors import Permanent, Temporary
from libs.common.messaging.kafka import KafkaPublisher
from libs.common.messaging.kafka.topics import _until_visible
from tests.contract.messaging.conftest import BOOTSTRAP, kafka_records, require_kafka

pytestmark = pytest.mark.contract


@pytest.fixture
async def topic() -> AsyncIterator[str]:
    """One partition, that takes messages of 2,000 bytes at most."""
    await require_kafka()
    name = f"test-{uuid.uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
        await admin.start()
        stack.push_async_callback(admin.close)
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "2000"})])
        stack.push_async_callback(admin.delete_topics, [name])
        await _until_visible(admin, [name])
        yield name


@pytest.fixture
async def publisher() -> AsyncIterator[KafkaPublisher]:
    made = KafkaPublisher(BOOTSTRAP, "test", timeout_s=5)
    yield made
    await made.stop()


async def test_a_message_that_the_broker_refuses_leaves_no_hole(topic: str, publisher: KafkaPublisher) -> None:
    """An idempotent producer counts it as sent; its successor counts anew, and the next message passes at once."""
    await publisher.send(topic, key="k", value=b"before")
    with pytest.raises(Permanent) as raised:
        await publisher.send(topic, key="k", value=b"x" * 5000)
    assert "message_too_large" == raised.value.code
    await publisher.send(topic, key="k", value=b"after")
    assert [b"before", b"after"] == [record.value for record in await kafka_records(topic)]


async def test_a_producer_that_lost_count_is_replaced(topic: str, publisher: KafkaPublisher) -> None:
    """The broker refuses its numbers for good; the next send goes through a new producer."""
    await publisher.send(topic, key="k", value=b"before")
    assert publisher._producer is not None
    publisher._producer._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 7)
    with pytest.raises(Temporary):
        await publisher.send(topic, key="k", value=b"refused")
    await publisher.send(topic, key="k", value=b"after")
    assert [b"before", b"after"] == [record.value for record in await kafka_records(topic)]
