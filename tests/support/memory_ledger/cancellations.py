"""The cancelling of runs, in memory."""

from dataclasses import replace

from libs.common.contracts.events import FileBatchFailed, FileBatchPlanned, ScanFailed, Totals
from libs.common.ids import BatchId, IngestionId, RunId
from libs.common.ledger.cancellations import CANCELLED
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, ScanState
from tests.support.memory_ledger.tables import ScanRow, Tables


def cancel_run(tables: Tables, run_id: RunId, ingestion_id: IngestionId, generation: int) -> bool:
    """As ``libs.common.ledger.cancellations.cancel_run``, in the transaction of the caller."""
    scan = tables.scans.get(run_id) or ScanRow(run_id, ingestion_id, generation, tables.clock())
    if scan.state is ScanState.ENDED or scan.is_cancelled:
        return False
    tables.scans[run_id] = replace(scan, token=scan.token + 1, lease_until=None, is_cancelled=True)
    for row in [row for row in tables.batches.values() if row.run_id == run_id]:
        if row.state not in FINAL_BATCH_STATES:
            _stop(tables, row.id)
    if scan.state is ScanState.SCANNING:
        tables.log(run_id, lambda h: ScanFailed(**h.fields(), problem=CANCELLED), scan_state=ScanState.BROKEN)
    return True


def _stop(tables: Tables, batch_id: BatchId) -> None:
    row = replace(tables.batches[batch_id], updated_at=tables.clock(), lease_until=None)
    row = replace(row, token=row.token + 1)
    if row.may_be_staged:
        tables.batches[batch_id] = replace(row, state=BatchState.BURNING)
        tables.events.append(
            FileBatchPlanned(
                batch_id=row.id,
                run_id=row.run_id,
                ingestion_id=row.ingestion_id,
                generation=row.generation,
                file_count=row.file_count,
                size_bytes=row.size_bytes,
            )
        )
        return
    tables.batches[batch_id] = replace(row, state=BatchState.BURNED, last_error=CANCELLED.message)
    tables.let_wait(batch_id, CANCELLED)
    tables.log(
        row.run_id,
        lambda h: FileBatchFailed(
            **h.fields(), batch_id=batch_id, problems=(CANCELLED,), files_failed=row.file_count, files_replanned=0
        ),
        change=Totals(files_failed=row.file_count, batches_done=1),
    )
