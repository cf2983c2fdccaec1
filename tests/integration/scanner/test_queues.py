"""Notifications of a queue end as hints in the ledger, and only then leave the queue."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from libs.common import failpoints
from libs.common.contracts.topics import S3_NOTIFICATIONS
from libs.common.ledger.hints import Hints, hint
from libs.common.messaging.attempt import Attempts
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.storage.control import ingestion
from services.scanner.followers import Followers
from services.scanner.intake import Intake
from services.scanner.notifications.polling import QueuePoller
from services.scanner.notifications.sqs import SqsQueue
from services.scanner.notifications.topic import BucketNews, TopicNews, decode_news
from tests.integration.scanner.harness import BUCKET, Harness
from tests.support.crash import Crash
from tests.support.eventually import eventually
from tests.support.memory_broker import MemoryBroker
from tests.support.moto_sqs import ACCESS, REGION, MotoSqs, moto_sqs

pytestmark = pytest.mark.integration
TOPIC = S3_NOTIFICATIONS.name()


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoSqs]:
    with moto_sqs() as server:
        yield server


def record(key: str) -> str:
    about = {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 7, "eTag": "x"}}
    return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}]})


def by_event_bridge(key: str) -> str:
    detail = {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 7, "etag": "x"}}
    return json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})


def by_sns(message: str) -> str:
    return json.dumps({"Type": "Notification", "MessageId": str(uuid.uuid4()), "Message": message})


class World:
    """A queue that moto plays, a ledger, and an ingestion that follows what it tells."""

    def __init__(self, harness: Harness, moto: MotoSqs) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(f"{TOPIC}.dlq")
        self._harness = harness
        self._moto = moto
        self._url = moto.create(f"landing-{uuid.uuid4().hex[:8]}")

    async def follow(self) -> None:
        schedule = {"schedule": {"trigger": "event"}}
        async with self._harness.database.begin() as connection:
            await connection.execute(
                update(ingestion)
                .where(ingestion.c.id == self._harness.ingestion_id)
                .values(status="active", definition=ingestion.c.definition.concat(schedule))
            )

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self._moto.client.send_message(QueueUrl=self._url, MessageBody=body)

    async def is_empty(self) -> bool:
        return await asyncio.to_thread(self._moto.left, self._url) == 0

    async def hinted(self) -> list[str]:
        query = select(hint.c.key).where(hint.c.ingestion_id == self._harness.ingestion_id).order_by(hint.c.key)
        async with self._harness.database.read() as connection:
            return list(await connection.scalars(query))

    @asynccontextmanager
    async def scanner(self, *, hold_s: float = 60) -> AsyncIterator["asyncio.Task[None]"]:
        """What a scanner does with its queues."""
        database = self._harness.database
        queue = SqsQueue(self._url, region=REGION, endpoint_url=self._moto.url, access=ACCESS)
        news = TopicNews(Intake(Followers(database), Hints(database)))
        attempts = Attempts({BucketNews: news.on_bucket_news}, DeadLetters(self.broker.publisher()), decode_news)
        hold, wait = timedelta(seconds=hold_s), timedelta(seconds=1)
        poller = QueuePoller(queue, attempts, topic=TOPIC, receivers=4, hold=hold, wait=wait)
        running = asyncio.create_task(poller.run())
        try:
            yield running
        finally:
            poller.request_stop()
            await asyncio.wait([running])
            await queue.close()


@pytest.fixture
async def world(harness: Harness, moto: MotoSqs) -> World:
    made = World(harness, moto)
    await harness.new_run()
    await made.follow()
    return made


async def test_every_envelope_ends_in_the_ledger_and_leaves_the_queue(world: World) -> None:
    """Decoded once; what is foreign, or no news, leaves it as well."""
    world.send(record("in/a+b.json"), by_sns(record("in/c.json")), by_event_bridge("in/d+e.json"))
    world.send(by_sns(by_event_bridge("in/f.json")), record("elsewhere/a.json"))
    world.send(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}))
    async with world.scanner():
        await eventually(world.is_empty, 20)
    assert ["in/a b.json", "in/c.json", "in/d+e.json", "in/f.json"] == await world.hinted()
    assert [] == world.broker.records(f"{TOPIC}.dlq")


async def test_a_scanner_that_dies_before_it_deletes_leaves_the_messages_to_the_next(world: World) -> None:
    """The ledger has them already; taking them twice changes nothing."""
    world.send(record("in/a.json"), record("in/b.json"))
    failpoints.arm("queue.after_take:raise", error=lambda _: Crash())
    async with world.scanner(hold_s=2) as running:
        await asyncio.wait([running], timeout=20)
        assert running.done()
        assert isinstance(running.exception(), BaseExceptionGroup)
    failpoints.arm(None)
    taken = await world.hinted()
    assert taken
    assert not await world.is_empty()
    async with world.scanner():
        await eventually(world.is_empty, 20)
    assert ["in/a.json", "in/b.json"] == await world.hinted()


async def test_poison_is_set_aside_and_holds_up_nothing(world: World) -> None:
    world.send("all is well", record("in/a.json"), json.dumps({"Records": [{}]}))
    async with world.scanner():
        await eventually(world.is_empty, 20)
    assert ["in/a.json"] == await world.hinted()
    letters: list[Any] = world.broker.records(f"{TOPIC}.dlq")
    assert {b"all is well", b'{"Records": [{}]}'} == {letter.value for letter in letters}
    assert {b"not_a_notification"} == {letter.headers["code"] for letter in letters}


async def test_many_messages_are_taken_in_by_several_receivers(world: World) -> None:
    """Also those that are there twice."""
    keys = [f"in/{number:03}.json" for number in range(40)]
    world.send(*[record(key) for key in [*keys, *keys]])
    async with world.scanner():
        await eventually(world.is_empty, 60)
    assert keys == await world.hinted()
