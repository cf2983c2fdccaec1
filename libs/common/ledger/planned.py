"""Writing a new batch: by a scanner that filled one, or an executor that burned one and carries its good files on."""

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import FileBatchPlanned
from libs.common.contracts.scope import Lane
from libs.common.contracts.topics import BATCHES_OF
from libs.common.errors import Fenced
from libs.common.ids import BatchId
from libs.common.ledger import replacements
from libs.common.ledger.ingestions import hold_generation
from libs.common.ledger.model.batches import BatchClaim, PlannedBatch
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.states import BatchState, FileState
from libs.common.ledger.tables import batch, file
from libs.common.storage.control import run
from libs.common.storage.outbox import Outbox


async def create_batch(
    connection: AsyncConnection,
    outbox: Outbox,
    claim: ScanClaim | BatchClaim,
    planned: PlannedBatch,
    *,
    taken_from: FileState,
    replaces: BatchId | None = None,
) -> None:
    """Writes a batch, moves its files into it, and enqueues the message that wakes an executor. The files of one that
    replaces rows stay where they are, committed, until it is published.

    Raises:
        Fenced: a file is not where the plan says; somebody else moved it. Or a refresh has begun another generation.
    """
    await hold_generation(connection, claim.ingestion_id, claim.generation)
    lane: Lane = await connection.scalar(select(run.c.lane).where(run.c.id == claim.run_id)) or "fresh"
    await connection.execute(
        batch.insert().values(
            id=planned.id,
            run_id=claim.run_id,
            ingestion_id=claim.ingestion_id,
            generation=claim.generation,
            state=BatchState.PLANNED,
            file_count=len(planned.files),
            size_bytes=planned.size_bytes,
            replaces=replaces,
            lane=lane,
            replaces_rows=planned.replaces_rows,
        )
    )
    if not planned.replaces_rows:
        await _move_files(connection, claim, planned, taken_from)
    elif replaces is None:
        await replacements.plan(connection, claim, planned)
    else:
        await replacements.carry_on(connection, planned, replaces)
    await outbox.enqueue(
        connection,
        BATCHES_OF[lane],
        FileBatchPlanned(
            batch_id=planned.id,
            run_id=claim.run_id,
            ingestion_id=claim.ingestion_id,
            generation=claim.generation,
            file_count=len(planned.files),
            size_bytes=planned.size_bytes,
        ),
    )


async def _move_files(
    connection: AsyncConnection, claim: ScanClaim | BatchClaim, planned: PlannedBatch, taken_from: FileState
) -> None:
    moved = await connection.execute(
        update(file)
        .where(
            file.c.ingestion_id == claim.ingestion_id,
            file.c.generation == claim.generation,
            file.c.state == taken_from,
            file.c.key_digest == func.any([f.digest for f in planned.files]),
        )
        .values(state=FileState.BATCHED, batch_id=planned.id, run_id=claim.run_id, updated_at=func.now())
    )
    if moved.rowcount != len(planned.files):
        raise Fenced(f"a file of batch {planned.id}")
