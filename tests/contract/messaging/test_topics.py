"""Creating the catalogue on a real broker."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from libs.common.clock import utc_now
from libs.common.contracts.topics import CATALOGUE, FILE_BATCHES, RUN_STATE, RUN_STATUS
from libs.common.errors import Temporary
from libs.common.messaging.kafka import KafkaPublisher, ensure_topics, keep_topics, ping
from tests.contract.messaging.conftest import BOOTSTRAP, require_kafka
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract


@pytest.fixture
async def admin() -> AsyncIterator[AIOKafkaAdminClient]:
    await require_kafka()
    client = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def prefix(admin: AIOKafkaAdminClient) -> AsyncIterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(name)])


async def test_every_topic_and_its_dead_letters_are_made(admin: AIOKafkaAdminClient, prefix: str) -> None:
    """With the partitions of the catalogue, usable at once."""
    await ensure_topics(BOOTSTRAP, CATALOGUE, prefix, 1)
    made = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics() if t["topic"].startswith(prefix)}
    expected = {topic.name(prefix): topic.partitions for topic in CATALOGUE}
    expected |= {topic.dead_letter_name(prefix): 1 for topic in CATALOGUE}
    assert expected == made


async def test_a_message_of_a_process_whose_clock_is_ahead_is_taken(admin: AIOKafkaAdminClient, prefix: str) -> None:
    """A day ahead: by itself the broker would refuse more than an hour (F49)."""
    await ensure_topics(BOOTSTRAP, [FILE_BATCHES], prefix, 1)
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP)
    await producer.start()
    try:
        tomorrow_ms = int((utc_now() + timedelta(days=1)).timestamp() * 1000)
        await producer.send_and_wait(FILE_BATCHES.name(prefix), b"{}", timestamp_ms=tomorrow_ms)
    finally:
        await producer.stop()


async def test_a_topic_keeps_its_messages_as_long_as_the_catalogue_says(
    admin: AIOKafkaAdminClient, prefix: str
) -> None:
    """Not as long as the broker's default."""
    await ensure_topics(BOOTSTRAP, [FILE_BATCHES], prefix, 1)
    resource = ConfigResource(ConfigResourceType.TOPIC, FILE_BATCHES.name(prefix))
    [answer] = await admin.describe_configs([resource])
    config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert str(int(FILE_BATCHES.retention.total_seconds() * 1000)) == config["retention.ms"]
    assert ("1", "delete") == (config["min.insync.replicas"], config["cleanup.policy"])


async def test_a_topic_of_states_keeps_the_latest_of_each(admin: AIOKafkaAdminClient, prefix: str) -> None:
    """And none for ever; its older segments close soon, so that there is something to compact."""
    await ensure_topics(BOOTSTRAP, [RUN_STATE], prefix, 1)
    resource = ConfigResource(ConfigResourceType.TOPIC, RUN_STATE.name(prefix))
    [answer] = await admin.describe_configs([resource])
    config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert {"compact", "delete"} == set(config["cleanup.policy"].split(","))
    assert str(int(RUN_STATE.retention.total_seconds() * 1000)) == config["retention.ms"]
    assert int(config["segment.ms"]) <= 60 * 60 * 1000


async def test_services_that_start_together_do_not_disturb_each_other(prefix: str) -> None:
    """Each makes the topics; one wins, and all go on."""
    await asyncio.gather(*(ensure_topics(BOOTSTRAP, CATALOGUE, prefix, 1) for _ in range(5)))
    await ensure_topics(BOOTSTRAP, CATALOGUE, prefix, 1)


async def test_a_topic_that_is_deleted_while_services_run_is_made_again(
    admin: AIOKafkaAdminClient, prefix: str
) -> None:
    """Without a restart of anything."""
    keeping = asyncio.create_task(
        keep_topics(BOOTSTRAP, [FILE_BATCHES, RUN_STATUS], prefix, interval=timedelta(seconds=0.2))
    )

    name, publisher = FILE_BATCHES.name(prefix), KafkaPublisher(BOOTSTRAP, "test", timeout_s=2)

    async def is_empty_again() -> bool:
        return {0} == set((await ends(name)).values())

    async def is_filled() -> bool:
        with suppress(Temporary):  # not made yet
            await publisher.send(name, key="k", value=b"v")
            return True
        return False

    await eventually(is_filled, 15, what="the topic is made")
    await admin.delete_topics([name])
    await eventually(is_empty_again, 15, what="the topic is made again")
    keeping.cancel()
    await publisher.stop()


async def ends(topic: str) -> dict[int, int]:
    """How many messages each partition has; nothing while there is no such topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP)
    await consumer.start()
    try:
        await consumer._client._wait_on_metadata(topic)
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return {tp.partition: end for tp, end in (await consumer.end_offsets(partitions)).items()}
    except (UnknownTopicOrPartitionError, KafkaTimeoutError):
        return {}
    finally:
        await consumer.stop()


async def test_an_absent_broker_is_known_within_seconds() -> None:
    """By readiness, and at start."""
    async with asyncio.timeout(5):
        with pytest.raises(Temporary):
            await ping("localhost:1", 1)
        with pytest.raises(Temporary, match="localhost:1"):
            await ensure_topics("localhost:1", CATALOGUE, "x", 1, timeout_s=2)


async def test_a_broker_that_accepts_and_says_nothing_is_absent() -> None:
    """A readiness probe must not hang."""

    ended = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(silence, "localhost", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(3):
            with pytest.raises(Temporary):
                await ping(f"localhost:{port}", 0.5)
            await ended.wait()


async def test_a_present_broker_answers() -> None:
    """Silence is consent."""
    await require_kafka()
    await ping(BOOTSTRAP, 5)
