"""Which work an executor takes up by itself: what another one left behind, and what nobody began."""

from datetime import timedelta
from uuid import UUID

from libs.common.contracts.scope import Lane
from libs.common.ids import BatchId, RefreshId
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.cluster_checks import ClusterChecks
from libs.common.ledger.reconciliations import Reconciliations
from libs.common.ledger.refreshes import RefreshLedger
from libs.common.sweeper import Sweeper
from services.executor.cluster_checks import Checks
from services.executor.handlers import Batches
from services.executor.reconciler import Reconciler
from services.executor.refresh import Refreshes

_AT_ONCE = 2
"""Of everything but batches: rarer, and each has Spark's attention for longer."""


def batch_sweeper(
    ledger: BatchLedger, batches: Batches, lane: Lane, *, interval: timedelta, at_once: int
) -> Sweeper[BatchId]:
    """Of one lane. A long backfill always has batches that wait: their sweeper must not take up the others' time."""
    return Sweeper(
        lambda limit: ledger.claimable(planned_before=interval, limit=limit, lane=lane),
        batches.work_on,
        kind=f"{lane} batch",
        interval=interval,
        at_once=at_once,
        aside=batches.aside,
    )


def refresh_sweeper(ledger: RefreshLedger, refreshes: Refreshes, *, interval: timedelta) -> Sweeper[RefreshId]:
    """Also tries those again that met trouble."""
    return Sweeper(
        lambda limit: ledger.claimable(limit=limit),
        refreshes.work_on,
        kind="refresh",
        interval=interval,
        at_once=_AT_ONCE,
    )


def reconciliation_sweeper(requests: Reconciliations, reconciler: Reconciler, *, interval: timedelta) -> Sweeper[UUID]:
    return Sweeper(
        lambda limit: requests.waiting(asked_before=interval, limit=limit),
        reconciler.work_on,
        kind="reconciliation",
        interval=interval,
        at_once=_AT_ONCE,
    )


def check_sweeper(requests: ClusterChecks, checks: Checks, *, interval: timedelta) -> Sweeper[UUID]:
    return Sweeper(
        lambda limit: requests.waiting(asked_before=interval, limit=limit),
        checks.work_on,
        kind="cluster check",
        interval=interval,
        at_once=_AT_ONCE,
    )
