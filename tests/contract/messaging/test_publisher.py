"""What every publisher promises."""

import asyncio

import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.messaging.ports import Outgoing
from tests.contract.messaging.conftest import Broker

pytestmark = pytest.mark.contract


async def test_a_sent_message_is_stored_with_key_value_and_headers(broker: Broker) -> None:
    """When ``send`` returns, it is there."""
    await broker.create_topic(broker.topic, 3)
    publisher = await broker.publisher()
    await publisher.send(broker.topic, key="k", value=b"v", headers={"code": "x", "reason": "Grüße"})
    [record] = await broker.records(broker.topic)
    assert (b"k", b"v") == (record.key, record.value)
    assert {"code": b"x", "reason": "Grüße".encode()} == record.headers


async def test_one_key_keeps_its_order_and_its_partition(broker: Broker) -> None:
    """However many are sent at once."""
    await broker.create_topic(broker.topic, 3)
    publisher = await broker.publisher()
    numbers = range(600)
    await publisher.send_many([Outgoing(broker.topic, f"k{n % 7}", str(n).encode()) for n in numbers])
    records = await broker.records(broker.topic)
    for key in range(7):
        mine = [record for record in records if record.key == f"k{key}".encode()]
        assert 1 == len({record.partition for record in mine})
        assert [n for n in numbers if n % 7 == key] == [int(record.value) for record in mine]


async def test_sending_nothing_is_allowed(broker: Broker) -> None:
    """The relay need not look."""
    await (await broker.publisher()).send_many([])


async def test_senders_may_share_a_publisher(broker: Broker) -> None:
    """Relay and dead letters do."""
    await broker.create_topic(broker.topic, 1)
    publisher = await broker.publisher()
    await asyncio.gather(*(publisher.send(broker.topic, key="k", value=b"v") for _ in range(20)))
    assert 20 == len(await broker.records(broker.topic))


async def test_a_message_that_is_too_large_is_refused_for_good(broker: Broker) -> None:
    """Trying again would not help, and others are not affected."""
    await broker.create_topic(broker.topic, 1)
    publisher = await broker.publisher()
    with pytest.raises(Permanent) as raised:
        await publisher.send_many(
            [Outgoing(broker.topic, "k", b"before"), Outgoing(broker.topic, "k", b"x" * (2 * 1024 * 1024))]
        )
    assert "message_too_large" == raised.value.code
    await publisher.send(broker.topic, key="k", value=b"v")
    assert 1 == len(await broker.records(broker.topic))


async def test_an_absent_broker_is_known_within_seconds(broker: Broker) -> None:
    """As an error that may pass."""
    async with asyncio.timeout(5):
        with pytest.raises(Temporary) as raised:
            await broker.unreachable_publisher().send(broker.topic, key="k", value=b"v")
    assert "kafka_unavailable" == raised.value.code


async def test_a_missing_topic_may_still_come(broker: Broker) -> None:
    """It is made by the services; once it is there, the same publisher reaches it."""
    publisher = await broker.publisher()
    with pytest.raises(Temporary) as raised:
        await publisher.send(broker.topic, key="k", value=b"v")
    assert raised.value.code in {"kafka_topic_missing", "kafka_unavailable"}
    await broker.create_topic(broker.topic, 1)
    await publisher.send(broker.topic, key="k", value=b"v")
    assert 1 == len(await broker.records(broker.topic))
