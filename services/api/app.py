"""Puts the API together. The only module that knows everyone."""

from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from libs.common.backbone import Backbone, default_access
from libs.common.contracts.asyncapi import asyncapi
from libs.common.contracts.topics import RUN_STATUS
from libs.common.ids import TenantId
from libs.common.messaging.kafka import ping
from libs.common.objects.ports import ObjectStore
from libs.common.secrets import SecretBox
from libs.common.service import Service
from libs.common.storage.migrate import newest_revision
from services.api.caller import Caller
from services.api.clusters.handlers import ConnectionTests
from services.api.clusters.registry import Clusters
from services.api.completeness.expectations import Expectations
from services.api.completeness.handlers import Completeness
from services.api.completeness.watcher import Watcher
from services.api.costs.handlers import Costs
from services.api.files.handlers import Files
from services.api.health.checks import database_check
from services.api.http import VERSION, HttpServer, build_http
from services.api.ingestions.handlers import Ingestions
from services.api.late_objects import LateObjects
from services.api.notifications.handlers import Deliveries
from services.api.plans.handlers import Plans
from services.api.preview.handlers import Previews
from services.api.quarantine.handlers import Quarantine
from services.api.reconciliations.handlers import Reconciliations
from services.api.refresh.deletion import Deletions
from services.api.refresh.handlers import Refreshes
from services.api.refresh.impact import Impacts
from services.api.refresh.projector import RefreshProjector
from services.api.refresh.reminder import RefreshReminder
from services.api.refresh.word import ExecutorsWord
from services.api.runs.handlers import Runs
from services.api.runs.live import LiveRuns
from services.api.runs.projector import AT_ONCE, CONSUMER, Projector
from services.api.runs.requests import RunRequests
from services.api.runs.sweeper import Sweeper
from services.api.schedules.handlers import Schedules
from services.api.settings import ApiSettings
from services.api.subscriptions import subscriptions
from services.api.table_schema.handlers import Schemas
from services.api.triggers.arrivals import Arrivals
from services.api.triggers.listings import Listings
from services.api.triggers.ticker import Ticker
from services.api.webhooks.courier import Courier
from services.api.webhooks.handlers import Webhooks
from services.api.webhooks.sender import Sender

PROJECTOR_CONCURRENCY = 8
# Its streams end at once; what may be left is one look at a database that does not answer.
_LOOK_S = timedelta(seconds=1)


def build_rest(settings: ApiSettings, backbone: Backbone, objects: ObjectStore, live_runs: LiveRuns) -> FastAPI:
    """The HTTP side: nouns, health and metrics. Nothing is connected yet.

    Raises:
        Permanent: codes ``no_secret_key``, ``bad_secret_key``.
    """
    clusters = Clusters(settings.clusters)
    box = SecretBox(settings.require_secret_key())
    word = ExecutorsWord(backbone.database, wait=timedelta(seconds=settings.refresh_wait_s))
    kept_for = timedelta(days=settings.refresh_undo_days)
    return build_http(
        ingestions=Ingestions(backbone.database, box, clusters, backbone.outbox),
        deletions=Deletions(backbone.database, clusters, backbone.outbox, word, kept_for=kept_for),
        runs=_runs(settings, backbone),
        live_runs=live_runs,
        run_requests=_run_requests(settings, backbone),
        plans=Plans(
            backbone.database,
            box,
            clusters,
            objects,
            settings.speed(),
            settings.prices(),
            files_max=settings.plan_files_max,
        ),
        reconciliations=Reconciliations(backbone.database, clusters, backbone.outbox),
        refreshes=Refreshes(
            backbone.database,
            box,
            clusters,
            backbone.outbox,
            Impacts(backbone.database, objects, settings.speed(), settings.prices()),
            word,
            kept_for=kept_for,
        ),
        schedules=Schedules(backbone.database),
        files=Files(backbone.database, box, objects),
        schemas=Schemas(backbone.database),
        quarantine=Quarantine(backbone.database),
        completeness=Completeness(backbone.database),
        costs=Costs(backbone.database, clusters, partial(_s3, settings), settings.speed(), settings.prices()),
        previews=Previews(backbone.database, clusters, partial(_s3, settings), settings.preview_bounds()),
        clusters=clusters,
        connection_tests=ConnectionTests(
            backbone.database, clusters, backbone.outbox, wait=timedelta(seconds=settings.cluster_test_wait_s)
        ),
        deliveries=Deliveries(backbone.database, backbone.outbox),
        notification_secrets=settings.shared_secrets(),
        checks={
            "postgres": database_check(backbone.database, newest_revision()),
            "kafka": partial(ping, settings.kafka_bootstrap),
        },
        caller=Caller(TenantId(settings.tenant_id)),
        webhooks=Webhooks(backbone.database, box, private_allowed=settings.webhook_private_addresses),
        public_events=asyncapi(
            settings.kafka_public_bootstrap or settings.kafka_bootstrap,
            settings.topic_prefix,
            version=VERSION,
            replication_factor=settings.kafka_replication_factor,
        ),
    )


def build_live_runs(settings: ApiSettings, backbone: Backbone) -> LiveRuns:
    """What tells listeners of runs. It looks only while its ``run`` runs."""
    return LiveRuns(_runs(settings, backbone).changed, listeners_max=settings.event_listeners_max)


def default_objects(settings: ApiSettings) -> LateObjects:
    """Object storage with the installation's own access."""
    return LateObjects(lambda: _s3(settings))


def build_service(settings: ApiSettings) -> Service:
    """One process: HTTP, relay, projector, ticker and sweeper. It starts, and accepts requests, without Kafka.

    Raises:
        Permanent: as ``build_rest``.
    """
    backbone = Backbone.build("api", settings, pool_size=settings.database_pool_size)
    objects = default_objects(settings)
    live_runs = build_live_runs(settings, backbone)
    rest = build_rest(settings, backbone, objects, live_runs)
    server = HttpServer(rest, host=settings.api_host, port=settings.api_port)
    projector = Projector(backbone.database, backbone.outbox, live_runs.hint)
    sweeper = Sweeper(
        backbone.database,
        backbone.outbox,
        interval=timedelta(seconds=settings.sweep_interval_s),
        topic_prefix=settings.topic_prefix,
    )

    requests = _run_requests(settings, backbone)
    reminder = RefreshReminder(
        backbone.database, backbone.outbox, interval=timedelta(seconds=settings.sweep_interval_s)
    )
    watcher = Watcher(backbone.database, backbone.outbox, interval=timedelta(seconds=settings.watermark_interval_s))
    expectations = Expectations(
        backbone.database,
        SecretBox(settings.require_secret_key()),
        objects,
        backbone.outbox,
        interval=timedelta(seconds=settings.expected_interval_s),
        again=timedelta(seconds=settings.expected_again_s),
    )
    refreshes = RefreshProjector(backbone.database, backbone.outbox)

    courier = _courier(settings, backbone)

    service = Service("api")
    service.add_resource("objects", stop=objects.close)
    backbone.attach(service)
    service.add_resource("http", start=server.start, stop=server.stop)
    service.add_task("sweeper", sweeper.run)
    service.add_task("arrivals", Arrivals(backbone.database, requests).run)
    service.add_task("listings of followed sources", Listings(backbone.database, requests).run)
    service.add_task("refresh reminder", reminder.run)
    service.add_task("ticker", Ticker(backbone.database, requests).run)
    service.add_task("watermarks", watcher.run)
    service.add_task("expected files", expectations.run)
    service.add_task("listing", objects.keep_open)
    service.add_task("webhooks", courier.run)
    backbone.subscribe(
        service,
        subscriptions(projector, refreshes),
        consumer=CONSUMER,
        concurrency=PROJECTOR_CONCURRENCY,
        apart={RUN_STATUS: 2 * AT_ONCE},  # while one transaction is under way, those for the next one gather
    )
    service.add_task("live runs", live_runs.run, request_stop=live_runs.request_stop, stop_deadline=_LOOK_S)
    # Last, so that it stops first: no request is accepted that nobody would announce.
    service.add_task("serving", server.run, request_stop=server.request_stop)
    return service


def _courier(settings: ApiSettings, backbone: Backbone) -> Courier:
    timeout_s = settings.webhook_timeout_s
    return Courier(
        backbone.database,
        SecretBox(settings.require_secret_key()),
        lambda: Sender(timeout_s=timeout_s, private_allowed=settings.webhook_private_addresses),
        settings.patience(),
        timeout=timedelta(seconds=timeout_s),
    )


def _runs(settings: ApiSettings, backbone: Backbone) -> Runs:
    return Runs(
        backbone.database,
        backbone.outbox,
        backbone.relay,
        topic_prefix=settings.topic_prefix,
        broker=settings.kafka_bootstrap,
        speed=settings.speed(),
        prices=settings.prices(),
    )


def _run_requests(settings: ApiSettings, backbone: Backbone) -> RunRequests:
    return RunRequests(backbone.database, Clusters(settings.clusters), backbone.outbox)


def _s3(settings: ApiSettings) -> ObjectStore:
    from libs.common.objects.s3 import S3Objects

    return S3Objects(default_access(settings))
