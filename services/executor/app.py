"""Puts the executor together. The only module that knows everyone."""

from datetime import timedelta

from libs.common.backbone import Backbone, default_access
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.rebuilds import LedgerRebuild
from libs.common.ledger.reconciliations import Reconciliations
from libs.common.objects.s3 import S3Objects
from libs.common.secrets import SecretBox
from libs.common.service import Service
from libs.common.storage.definitions import RunDefinitions
from services.executor.adapters.spark_sessions import SparkSessions
from services.executor.adapters.spark_table import SparkTables
from services.executor.commit import CommitProtocol
from services.executor.handlers import Batches, Patience
from services.executor.rebuild import Rebuilds
from services.executor.reconciler import Reconciler
from services.executor.settings import ExecutorSettings
from services.executor.subscriptions import subscriptions
from services.executor.sweeper import BatchSweeper
from services.executor.table_lanes import TableLanes

CONSUMER = "executor"


def build_service(settings: ExecutorSettings) -> Service:
    """One process: the consumer of planned batches, the sweeper, and the relay.

    Raises:
        Permanent: codes ``no_secret_key``, ``bad_secret_key``.
    """
    backbone = Backbone.build("executor", settings)
    lease = timedelta(seconds=settings.lease_ttl_s)
    ledger = BatchLedger(backbone.database, backbone.outbox, owner=settings.instance_id, lease=lease)
    definitions = RunDefinitions(backbone.database, SecretBox(settings.require_secret_key()))
    objects = S3Objects(default_access(settings))
    sessions = SparkSessions(
        # A retired session is stopped in a thread too, and must not take one away from a batch.
        threads=2 * settings.batches_at_once + 2,
        idle_max=settings.batches_at_once,
        call_timeout_s=settings.spark_call_timeout_s,
    )
    tables = SparkTables(sessions, settings.clusters)
    batches = Batches(
        ledger,
        definitions,
        tables,
        CommitProtocol(ledger, objects, TableLanes()),
        heartbeat=lease / 3,
        patience=Patience(settings.attempts_max, settings.takeovers_max),
    )
    sweeper = BatchSweeper(
        ledger,
        batches,
        interval=timedelta(seconds=settings.sweep_interval_s),
        at_once=settings.batches_at_once,
    )

    requests = Reconciliations(backbone.database, owner=settings.instance_id, lease=lease)
    reconciler = Reconciler(
        requests,
        definitions,
        tables,
        objects,
        Rebuilds(requests, LedgerRebuild(backbone.database, requests)),
        heartbeat=lease / 3,
        sweep_interval=timedelta(seconds=settings.sweep_interval_s),
    )

    service = Service("executor")
    service.add_resource("objects", stop=objects.close)
    service.add_resource("spark sessions", stop=sessions.close)
    backbone.attach(service)
    service.add_task("sweeper", sweeper.run)
    service.add_task("reconciliation sweeper", reconciler.sweep)
    backbone.subscribe(
        service, subscriptions(batches, reconciler), consumer=CONSUMER, concurrency=settings.batches_at_once
    )
    return service
