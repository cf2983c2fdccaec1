"""Puts the executor together. The only module that knows everyone."""

from datetime import timedelta

from libs.common.aside import Aside
from libs.common.backbone import Backbone, default_access
from libs.common.contracts.topics import BACKFILL_BATCHES
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.cluster_checks import ClusterChecks
from libs.common.ledger.rebuilds import LedgerRebuild
from libs.common.ledger.reconciliations import Reconciliations
from libs.common.ledger.refreshes import RefreshLedger
from libs.common.ledger.swaps import SwapLedger
from libs.common.objects.s3 import S3Objects
from libs.common.secrets import SecretBox
from libs.common.service import Service
from libs.common.storage.definitions import RunDefinitions
from services.executor.adapters.spark_probe import SparkProbe
from services.executor.adapters.spark_sessions import SparkSessions
from services.executor.adapters.spark_tables import SparkTables
from services.executor.cluster_checks import Checks
from services.executor.commit import CommitProtocol
from services.executor.fill import Fills
from services.executor.handlers import Batches, Patience
from services.executor.rebuild import Rebuilds
from services.executor.reconciler import Reconciler
from services.executor.refresh import Refreshes
from services.executor.settings import ExecutorSettings
from services.executor.subscriptions import subscriptions
from services.executor.swap import Swaps
from services.executor.sweepers import batch_sweeper, check_sweeper, reconciliation_sweeper, refresh_sweeper
from services.executor.table_lanes import TableLanes

CONSUMER = "executor"


def build_service(settings: ExecutorSettings) -> Service:
    """One process: the consumers of planned batches and of table commands, the sweepers, and the relay.

    Raises:
        Permanent: codes ``no_secret_key``, ``bad_secret_key``.
    """
    backbone = Backbone.build("executor", settings)
    lease = timedelta(seconds=settings.lease_ttl_s)
    sweep_interval = timedelta(seconds=settings.sweep_interval_s)
    ledger = BatchLedger(backbone.database, backbone.outbox, owner=settings.instance_id, lease=lease)
    definitions = RunDefinitions(backbone.database, SecretBox(settings.require_secret_key()))
    objects = S3Objects(default_access(settings))
    sessions = SparkSessions(
        # A retired session is stopped in a thread too, and must not take one away from a batch.
        threads=2 * (settings.batches_at_once + settings.backfill_batches_at_once) + 4,
        idle_max=settings.batches_at_once + settings.backfill_batches_at_once,
        call_timeout_s=settings.spark_call_timeout_s,
    )
    tables = SparkTables(sessions, settings.clusters, objects)
    lanes = TableLanes()
    protocol = CommitProtocol(ledger, objects, lanes)
    batches = Batches(
        ledger,
        definitions,
        tables,
        protocol,
        heartbeat=lease / 3,
        patience=Patience(settings.attempts_max, settings.takeovers_max),
        aside=Aside.for_sweeps(sweep_interval, backbone.database.now),
    )
    refresh_ledger = RefreshLedger(backbone.database, backbone.outbox, owner=settings.instance_id, lease=lease)
    swaps = Swaps(refresh_ledger, SwapLedger(backbone.database), tables)
    refreshes = Refreshes(refresh_ledger, ledger, definitions, tables, protocol, swaps, heartbeat=lease / 3)
    requests = Reconciliations(backbone.database, owner=settings.instance_id, lease=lease)
    reconciler = Reconciler(
        requests,
        definitions,
        tables,
        objects,
        Rebuilds(requests, LedgerRebuild(backbone.database, requests)),
        Fills(requests, tables, lanes),
        heartbeat=lease / 3,
    )
    cluster_checks = ClusterChecks(backbone.database, owner=settings.instance_id)
    checks = Checks(cluster_checks, SparkProbe(sessions, settings.clusters))

    service = Service("executor")
    service.add_resource("objects", stop=objects.close)
    service.add_resource("spark sessions", stop=sessions.close)
    backbone.attach(service)
    of_batches = batch_sweeper(ledger, batches, "fresh", interval=sweep_interval, at_once=settings.batches_at_once)
    of_backfills = batch_sweeper(ledger, batches, "backfill", interval=sweep_interval, at_once=1)
    of_refreshes = refresh_sweeper(refresh_ledger, refreshes, interval=sweep_interval)
    of_requests = reconciliation_sweeper(requests, reconciler, interval=sweep_interval)
    of_checks = check_sweeper(cluster_checks, checks, interval=sweep_interval)
    service.add_task("batch sweeper", of_batches.run)
    service.add_task("backfill sweeper", of_backfills.run)
    service.add_task("refresh sweeper", of_refreshes.run)
    service.add_task("reconciliation sweeper", of_requests.run)
    service.add_task("cluster check sweeper", of_checks.run)
    backbone.subscribe(
        service,
        subscriptions(batches, refreshes, reconciler, checks),
        consumer=CONSUMER,
        concurrency=settings.batches_at_once,
        apart={BACKFILL_BATCHES: settings.backfill_batches_at_once},
    )
    return service
