"""A bucket that tells of its objects, by the hand of a test: it can tell late, twice, wrongly, or not at all."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_plus

from aiokafka import AIOKafkaProducer

from libs.common.contracts.topics import S3_NOTIFICATIONS
from tests.support.topics import kafka_bootstrap


@dataclass(frozen=True, slots=True)
class BucketNews:
    """Sends to the topic of one installation, under the keys that MinIO uses."""

    producer: AIOKafkaProducer
    topic: str
    bucket: str

    async def tell(self, keys: Iterable[str], *, bucket: str | None = None, **about: str | int) -> None:
        """One message for each key, in this order; returns when the broker has them all. ``about`` is what they say of
        the object besides, ``event_time`` when it happened."""
        where = bucket or self.bucket
        sent = [
            await self.producer.send(self.topic, told(where, key, **about), key=f"{where}/{key}".encode())
            for key in keys
        ]
        for each in sent:
            await each

    async def tell_nonsense(self, raw: bytes) -> None:
        await self.producer.send_and_wait(self.topic, raw)


def told(bucket: str, key: str, **about: str | int) -> bytes:
    """A notification as MinIO writes it."""
    happened = about.pop("event_time", datetime.now(UTC).isoformat())
    s3 = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), **about}}
    record = {"eventName": "s3:ObjectCreated:Put", "eventSource": "minio:s3", "eventTime": happened, "s3": s3}
    return json.dumps({"EventName": "s3:ObjectCreated:Put", "Key": f"{bucket}/{key}", "Records": [record]}).encode()


@asynccontextmanager
async def bucket_news(topic_prefix: str, bucket: str) -> AsyncIterator[BucketNews]:
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap(), acks="all", linger_ms=5) as producer:
        yield BucketNews(producer, S3_NOTIFICATIONS.name(topic_prefix), bucket)
