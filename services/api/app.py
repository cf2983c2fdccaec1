"""Puts the API together. The only module that knows everyone."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from libs.common.contracts.topics import CATALOGUE
from libs.common.errors import Temporary
from libs.common.ids import TenantId
from libs.common.logs import get_logger
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.messaging.kafka import KafkaConsumer, KafkaPublisher, ensure_topics, ping
from libs.common.messaging.loop import ConsumerLoop
from libs.common.secrets import SecretBox
from libs.common.service import Service
from libs.common.storage.engine import Database
from libs.common.storage.migrate import newest_revision
from libs.common.storage.outbox import Outbox
from libs.common.storage.relay import OutboxRelay
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.health.checks import database_check
from services.api.http import HttpServer, build_http
from services.api.ingestions.handlers import Ingestions
from services.api.runs.handlers import Runs
from services.api.runs.projector import CONSUMER, Projector
from services.api.runs.sweeper import Sweeper
from services.api.settings import ApiSettings
from services.api.subscriptions import subscriptions

PROJECTOR_CONCURRENCY = 8
_RETRY_S = 2.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Api:
    """The parts of one API process."""

    database: Database
    publisher: KafkaPublisher
    relay: OutboxRelay
    projector: Projector
    sweeper: Sweeper
    http: FastAPI


def build(settings: ApiSettings) -> Api:
    """Makes the parts; nothing is connected or started.

    Raises:
        Permanent: codes ``no_secret_key``, ``bad_secret_key``.
    """
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    publisher = KafkaPublisher(settings.kafka_bootstrap, f"autoloader-api-{settings.instance_id}")
    relay = OutboxRelay(database, publisher)
    outbox = Outbox(source="autoloader/api", topic_prefix=settings.topic_prefix)
    clusters = Clusters(settings.clusters)
    http = build_http(
        ingestions=Ingestions(database, SecretBox(settings.require_secret_key()), clusters),
        runs=Runs(
            database,
            clusters,
            outbox,
            relay,
            topic_prefix=settings.topic_prefix,
            broker=settings.kafka_bootstrap,
        ),
        clusters=clusters,
        checks={
            "postgres": database_check(database, newest_revision()),
            "kafka": partial(ping, settings.kafka_bootstrap),
        },
        caller=Caller(TenantId(settings.tenant_id)),
    )
    interval = timedelta(seconds=settings.sweep_interval_s)
    return Api(
        database=database,
        publisher=publisher,
        relay=relay,
        projector=Projector(database, outbox, relay),
        sweeper=Sweeper(database, outbox, relay, interval=interval, topic_prefix=settings.topic_prefix),
        http=http,
    )


def build_service(settings: ApiSettings) -> Service:
    """One process: HTTP, relay, projector and sweeper. It starts, and accepts requests, without Kafka."""
    api = build(settings)
    server = HttpServer(api.http, host=settings.api_host, port=settings.api_port)
    service = Service("api")
    service.add_resource("database", stop=api.database.close)
    service.add_resource("publisher", stop=api.publisher.stop)
    service.add_resource("http", start=server.start, stop=server.stop)
    service.add_task("topics", _keeping(partial(_ensure_topics, settings)))
    service.add_task("relay", api.relay.run)
    service.add_task("sweeper", api.sweeper.run)
    for topic, handlers in subscriptions(api.projector).items():
        group = f"{settings.topic_prefix}-{CONSUMER}"
        consumer = KafkaConsumer(
            settings.kafka_bootstrap, group, [topic.name(settings.topic_prefix)], f"{CONSUMER}-{settings.instance_id}"
        )
        loop = ConsumerLoop(
            consumer, handlers, DeadLetters(api.publisher), concurrency=PROJECTOR_CONCURRENCY, name=CONSUMER
        )
        service.add_task(CONSUMER, loop.run, request_stop=loop.request_stop)
    # Last, so that it stops first: no request is accepted that nobody would announce.
    service.add_task("serving", server.run, request_stop=server.request_stop)
    return service


def _keeping(work: Callable[[], Awaitable[None]]) -> Callable[[], Coroutine[None, None, None]]:
    """``work`` until it succeeds, then idle: a background task that ends would end the service."""

    async def kept() -> None:
        while True:
            try:
                await work()
                break
            except Temporary as error:
                _log.warning("topics.waiting", code=error.code, problem=error.message)
                await asyncio.sleep(_RETRY_S)
        await asyncio.Event().wait()

    return kept


async def _ensure_topics(settings: ApiSettings) -> None:
    await ensure_topics(settings.kafka_bootstrap, CATALOGUE, settings.topic_prefix, settings.kafka_replication_factor)
