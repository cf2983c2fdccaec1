"""Puts the API together. The only module that knows everyone."""

from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from libs.common.backbone import Backbone
from libs.common.ids import TenantId
from libs.common.messaging.kafka import ping
from libs.common.secrets import SecretBox
from libs.common.service import Service
from libs.common.storage.migrate import newest_revision
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.health.checks import database_check
from services.api.http import HttpServer, build_http
from services.api.ingestions.handlers import Ingestions
from services.api.reconciliations.handlers import Reconciliations
from services.api.runs.handlers import Runs
from services.api.runs.projector import CONSUMER, Projector
from services.api.runs.sweeper import Sweeper
from services.api.settings import ApiSettings
from services.api.subscriptions import subscriptions

PROJECTOR_CONCURRENCY = 8


def build_rest(settings: ApiSettings, backbone: Backbone) -> FastAPI:
    """The HTTP side: nouns, health and metrics. Nothing is connected yet.

    Raises:
        Permanent: codes ``no_secret_key``, ``bad_secret_key``.
    """
    clusters = Clusters(settings.clusters)
    return build_http(
        ingestions=Ingestions(backbone.database, SecretBox(settings.require_secret_key()), clusters),
        runs=Runs(
            backbone.database,
            clusters,
            backbone.outbox,
            backbone.relay,
            topic_prefix=settings.topic_prefix,
            broker=settings.kafka_bootstrap,
        ),
        reconciliations=Reconciliations(backbone.database, clusters, backbone.outbox),
        clusters=clusters,
        checks={
            "postgres": database_check(backbone.database, newest_revision()),
            "kafka": partial(ping, settings.kafka_bootstrap),
        },
        caller=Caller(TenantId(settings.tenant_id)),
    )


def build_service(settings: ApiSettings) -> Service:
    """One process: HTTP, relay, projector and sweeper. It starts, and accepts requests, without Kafka.

    Raises:
        Permanent: as ``build_rest``.
    """
    backbone = Backbone.build("api", settings, pool_size=settings.database_pool_size)
    server = HttpServer(build_rest(settings, backbone), host=settings.api_host, port=settings.api_port)
    projector = Projector(backbone.database, backbone.outbox)
    sweeper = Sweeper(
        backbone.database,
        backbone.outbox,
        interval=timedelta(seconds=settings.sweep_interval_s),
        topic_prefix=settings.topic_prefix,
    )

    service = Service("api")
    backbone.attach(service)
    service.add_resource("http", start=server.start, stop=server.stop)
    service.add_task("sweeper", sweeper.run)
    backbone.subscribe(service, subscriptions(projector), consumer=CONSUMER, concurrency=PROJECTOR_CONCURRENCY)
    # Last, so that it stops first: no request is accepted that nobody would announce.
    service.add_task("serving", server.run, request_stop=server.request_stop)
    return service
