"""How a batch ends: what becomes of its files, and what its run is told. Published, or burned.

The functions run inside the transactions of ``batches.py``, which have moved the batch.
"""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import FileBatchCommitted, FileBatchFailed, Totals
from libs.common.ids import new_batch_id
from libs.common.ledger import batch_files, quarantine
from libs.common.ledger.aborts import abort_run
from libs.common.ledger.cancellations import stopped, why_stopped
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, PlannedBatch, PublishedBatch, in_parts
from libs.common.ledger.planned import create_batch
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX, RunLog
from libs.common.ledger.schema_history import record_schema
from libs.common.ledger.states import FileState, ScanState
from libs.common.storage.outbox import Outbox


async def published(
    connection: AsyncConnection, log: RunLog, claim: BatchClaim, row: Any, found: PublishedBatch
) -> None:
    """Files committed, totals and events. ``row`` is the batch's."""
    await batch_files.commit(connection, claim)
    version = await record_schema(connection, claim, found)
    records = row.row_count or 0
    told = await quarantine.problems(connection, claim) if row.records_quarantined else ()
    await log.record(
        connection,
        claim.run_id,
        lambda h: FileBatchCommitted(
            **h.fields(),
            batch_id=claim.id,
            snapshot_id=found.snapshot_id,
            files=row.file_count,
            records=records,
            records_quarantined=row.records_quarantined,
            problems=told,
            size_bytes=row.size_bytes,
            guarantee=found.guarantee,
            warnings=found.warnings,
        ),
        change=Totals(
            files_done=row.file_count,
            batches_done=1,
            records_ingested=records,
            records_quarantined=row.records_quarantined,
            bytes_read=row.size_bytes,
            bytes_written=found.bytes_written,
            schema_version=version,
        ),
    )


async def burned(
    connection: AsyncConnection, log: RunLog, outbox: Outbox, claim: BatchClaim, verdict: BurnVerdict
) -> None:
    """Files meet their fates; those without one go on in a new batch, or wait for the next run if this one was
    cancelled or aborted."""
    going_on = await batch_files.apply(connection, claim, verdict)
    more = await abort_run(connection, claim.run_id) if verdict.aborts else []
    why = await why_stopped(connection, claim.run_id) if going_on else None
    if why is not None:
        verdict = stopped(verdict, going_on, why)
        going_on = await batch_files.apply(connection, claim, verdict)
    new_batches = [
        PlannedBatch(new_batch_id(), part, claim.replaces_rows) for part in in_parts(going_on, verdict.parts)
    ]
    for planned in new_batches:
        await create_batch(connection, outbox, claim, planned, taken_from=FileState.BATCHED, replaces=claim.id)
    problems = [f.problem for f in verdict.fates.values() if f.problem is not None]
    if verdict.problem is not None:
        problems.insert(0, verdict.problem)
    change = Totals(files_failed=len(verdict.fates), batches_done=1, batches_planned=len(new_batches))
    await log.record_all(
        connection,
        claim.run_id,
        [
            (
                lambda h: FileBatchFailed(
                    **h.fields(),
                    batch_id=claim.id,
                    problems=tuple(problems[:PROBLEMS_IN_AN_EVENT_MAX]),
                    files_failed=len(verdict.fates),
                    files_replanned=len(going_on),
                ),
                change,
            ),
            *more,
        ],
        scan_state=ScanState.BROKEN if more else None,
    )
