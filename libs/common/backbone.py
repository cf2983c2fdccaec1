"""What every service process has: a database, a publisher, the relay between them, and its subscriptions.

Composition only; each ``app.py`` calls it and adds its own parts.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from libs.common import metrics
from libs.common.contracts.codec import Envelope, decode
from libs.common.contracts.definition import Credentials
from libs.common.contracts.events import Message
from libs.common.contracts.topics import CATALOGUE, Topic
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.messaging.kafka import KafkaConsumer, KafkaPublisher, keep_topics
from libs.common.messaging.loop import ConsumerLoop, Handler
from libs.common.service import Service
from libs.common.settings import CommonSettings
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from libs.common.storage.relay import OutboxRelay

Subscriptions = Mapping[Topic, Mapping[type[Message], Handler]]


@dataclass(frozen=True, slots=True)
class Backbone:
    """The shared parts of one process. ``name`` is the service's, as in ``scanner``."""

    name: str
    settings: CommonSettings
    database: Database
    publisher: KafkaPublisher
    relay: OutboxRelay
    outbox: Outbox

    @classmethod
    def build(cls, name: str, settings: CommonSettings, *, pool_size: int = 10) -> "Backbone":
        """Makes the parts; nothing is connected yet."""
        database = Database(settings.database_url, pool_size=pool_size)
        publisher = KafkaPublisher(settings.kafka_bootstrap, f"autoloader-{name}-{settings.instance_id}")
        relay = OutboxRelay(database, publisher)
        outbox = Outbox(source=f"autoloader/{name}", topic_prefix=settings.topic_prefix, wake=relay.poke)
        return cls(name, settings, database, publisher, relay, outbox)

    def attach(self, service: Service) -> None:
        """Adds the parts to a service: it starts, and waits, without Kafka."""
        metrics_server: list[Callable[[], None]] = []

        async def serve_metrics() -> None:
            metrics_server.append(metrics.serve(self.settings.metrics_port))

        async def stop_metrics() -> None:
            await asyncio.to_thread(metrics_server.pop())

        service.add_resource("metrics", start=serve_metrics, stop=stop_metrics)
        service.add_resource("database", stop=self.database.close)
        service.add_resource("publisher", stop=self.publisher.stop)
        service.add_task("topics", self._keep_topics)
        service.add_task("relay", self.relay.run)

    def subscribe(
        self,
        service: Service,
        subscriptions: Subscriptions,
        *,
        consumer: str,
        concurrency: int,
        apart: Mapping[Topic, int] | None = None,
        foreign: Mapping[Topic, Callable[[bytes], Envelope]] | None = None,
    ) -> None:
        """Adds one consumer loop per topic, each in a group of its own: a rebalance of one topic must not disturb the
        others. Groups are called ``<prefix>-<consumer>-<topic>``. Each handles ``concurrency`` messages at once;
        ``apart`` says how many it is for topics that have another number; ``foreign`` how messages are read that are
        none of ours."""
        settings = self.settings
        for topic, handlers in subscriptions.items():
            name = f"{consumer}-{topic.suffix.split('.')[0]}"
            kafka = KafkaConsumer(
                settings.kafka_bootstrap,
                f"{settings.topic_prefix}-{name}",
                [topic.name(settings.topic_prefix)],
                f"{name}-{settings.instance_id}",
                settings.kafka_static_member,
            )
            at_once = (apart or {}).get(topic, concurrency)
            loop = ConsumerLoop(
                kafka,
                handlers,
                DeadLetters(self.publisher),
                concurrency=at_once,
                name=name,
                decode=(foreign or {}).get(topic, decode),
            )
            service.add_task(name, loop.run, request_stop=loop.request_stop)

    async def _keep_topics(self) -> None:
        settings = self.settings
        await keep_topics(settings.kafka_bootstrap, CATALOGUE, settings.topic_prefix, settings.kafka_replication_factor)


def default_access(settings: CommonSettings) -> Credentials | None:
    """The installation's own access to object storage; None leaves it to the environment (profile, role)."""
    if settings.s3_access_key_id is None or settings.s3_secret_access_key is None:
        return None
    return Credentials(
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
    )
