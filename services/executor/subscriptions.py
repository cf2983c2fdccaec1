"""What happens when a message arrives: topic, message, handler. Nothing is registered anywhere else."""

from libs.common.backbone import Subscriptions
from libs.common.contracts.events import (
    AuditIngestion,
    CheckCluster,
    FileBatchPlanned,
    FillColumns,
    RebuildLedger,
    RefreshTable,
)
from libs.common.contracts.topics import BACKFILL_BATCHES, CLUSTER_COMMANDS, FILE_BATCHES, TABLE_COMMANDS
from services.executor.cluster_checks import Checks
from services.executor.handlers import Batches
from services.executor.reconciler import Reconciler
from services.executor.refresh import Refreshes


def subscriptions(batches: Batches, refreshes: Refreshes, reconciler: Reconciler, checks: Checks) -> Subscriptions:
    """The table."""
    return {
        FILE_BATCHES: {FileBatchPlanned: batches.on_file_batch_planned},
        BACKFILL_BATCHES: {FileBatchPlanned: batches.on_file_batch_planned},
        TABLE_COMMANDS: {
            RefreshTable: refreshes.on_refresh_table,
            AuditIngestion: reconciler.on_command,
            RebuildLedger: reconciler.on_command,
            FillColumns: reconciler.on_command,
        },
        CLUSTER_COMMANDS: {CheckCluster: checks.on_check_cluster},
    }
