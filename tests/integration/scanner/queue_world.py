"""A queue of notifications, and what becomes of them."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import select, update

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
from tests.support.memory_broker import MemoryBroker
from tests.support.moto_sqs import ACCESS, REGION, MotoSqs

TOPIC = S3_NOTIFICATIONS.name()


def record(key: str) -> str:
    about = {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 7, "eTag": "x"}}
    return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}]})


class World:
    """A queue that moto plays, a ledger, and an ingestion that follows what it tells."""

    def __init__(self, harness: Harness, moto: MotoSqs) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(f"{TOPIC}.dlq")
        self._harness = harness
        self._moto = moto
        self.name = f"landing-{uuid.uuid4().hex[:8]}"
        self.url = f"{moto.url}/123456789012/{self.name}"

    async def follow(self) -> None:
        schedule = {"schedule": {"trigger": "event"}}
        async with self._harness.database.begin() as connection:
            await connection.execute(
                update(ingestion)
                .where(ingestion.c.id == self._harness.ingestion_id)
                .values(status="active", definition=ingestion.c.definition.concat(schedule))
            )

    def create(self) -> None:
        """Until then there is no such queue."""
        assert self.url == self._moto.create(self.name)

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self._moto.client.send_message(QueueUrl=self.url, MessageBody=body)

    async def is_empty(self) -> bool:
        return await asyncio.to_thread(self._moto.left, self.url) == 0

    async def hinted(self) -> list[str]:
        query = select(hint.c.key).where(hint.c.ingestion_id == self._harness.ingestion_id).order_by(hint.c.key)
        async with self._harness.database.read() as connection:
            return list(await connection.scalars(query))

    @asynccontextmanager
    async def scanner(self, *, hold_s: float = 60) -> AsyncIterator["asyncio.Task[None]"]:
        """What a scanner does with its queues."""
        database = self._harness.database
        queue = SqsQueue(self.url, region=REGION, endpoint_url=self._moto.url, access=ACCESS)
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
