"""Cancelling a run: what of it is not in the table stays out of it, and its files wait for the next run.

It is one transaction of whoever is asked, and needs neither scanner nor executor to be there. From its commit on
nothing more is planned, and no claim of the run's listing or batches is good: scanners and executors that are at work
find themselves fenced. A batch of which nothing can be staged is burned at once. Any other waits as *burning*: only the
table knows whether it was published already, so an executor reads back, and burns it if it was not. Crash anywhere:
the sweepers find burning batches as they find all others.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import FileBatchFailed, FileBatchPlanned, Problem, RunFact, ScanFailed, Totals
from libs.common.contracts.topics import BATCHES_OF
from libs.common.ids import IngestionId, RunId
from libs.common.ledger.aborts import abort_of
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.replacements import let_go
from libs.common.ledger.run_log import Header, RunLog, begin_run
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState, ScanState
from libs.common.ledger.tables import batch, file, scan
from libs.common.storage.outbox import Outbox

CANCELLED = Problem(
    error_type="run_cancelled",
    message="the run was cancelled before this was loaded",
    hint="nothing is lost: the next run loads the files that are missing",
)


async def cancel_run(
    connection: AsyncConnection, outbox: Outbox, run_id: RunId, ingestion_id: IngestionId, generation: int
) -> bool:
    """Cancels a run, whether or not a scanner has begun it. False: it has ended, or was cancelled before; nothing is
    changed then."""
    await _unfinished_batches(connection, run_id)  # locked before the scan, as executors lock them
    await begin_run(connection, run_id, ingestion_id, generation)
    found = (
        await connection.execute(
            update(scan)
            .where(scan.c.run_id == run_id, scan.c.state != ScanState.ENDED, scan.c.cancelled_at.is_(None))
            .values(token=scan.c.token + 1, lease_until=None, cancelled_at=func.clock_timestamp())
            .returning(scan.c.state)
        )
    ).one_or_none()
    if found is None:
        return False
    # Once more: a scanner may have planned some between the two locks. Now it cannot any more.
    batches = await _unfinished_batches(connection, run_id)
    unstaged = [row for row in batches if not row.may_be_staged]
    await _let_burn(connection, outbox, [row for row in batches if row.may_be_staged])
    await _burn(connection, [row.id for row in unstaged])
    facts = [_burned(row) for row in unstaged]
    state: ScanState | None = None
    if found.state == ScanState.SCANNING:
        facts.append((lambda h: ScanFailed(**h.fields(), problem=CANCELLED), Totals()))
        state = ScanState.BROKEN
    if facts:
        await RunLog(outbox).record_all(connection, run_id, facts, scan_state=state)
    return True


async def ended_scan(connection: AsyncConnection, run_id: UUID) -> dict[str, Any] | None:
    """The ledger's row of a run that is over; None while it is not."""
    row = (
        await connection.execute(select(scan).where(scan.c.run_id == run_id, scan.c.state == ScanState.ENDED))
    ).mappings()
    found = row.one_or_none()
    return None if found is None else dict(found)


async def why_stopped(connection: AsyncConnection, run_id: RunId) -> Problem | None:
    """Why what is left of the run's batches waits for another run, if it does not go on in this one."""
    at = await connection.scalar(select(scan.c.cancelled_at).where(scan.c.run_id == run_id))
    return await abort_of(connection, run_id) if at is None else CANCELLED


def stopped(verdict: BurnVerdict, going_on: Sequence[FileVersion], why: Problem = CANCELLED) -> BurnVerdict:
    """The verdict of a stopped run's batch: what would go on waits for the next run."""
    waiting = {f.digest: Fate(FileState.DISCOVERED) for f in going_on}
    return BurnVerdict({**verdict.fates, **waiting}, verdict.problem or why)


async def _unfinished_batches(connection: AsyncConnection, run_id: RunId) -> list[Row[Any]]:
    """Locked, in an order that two callers share."""
    rows = await connection.execute(
        select(batch)
        .where(batch.c.run_id == run_id, batch.c.state.not_in(FINAL_BATCH_STATES))
        .order_by(batch.c.id)
        .with_for_update()
    )
    return list(rows.all())


async def _let_burn(connection: AsyncConnection, outbox: Outbox, rows: Sequence[Row[Any]]) -> None:
    await connection.execute(
        update(batch)
        .where(batch.c.id == func.any([row.id for row in rows]))
        .values(state=BatchState.BURNING, token=batch.c.token + 1, lease_until=None, updated_at=func.clock_timestamp())
    )
    for row in rows:
        # Sweepers would find it; this is sooner.
        woken = FileBatchPlanned(
            batch_id=row.id,
            run_id=row.run_id,
            ingestion_id=row.ingestion_id,
            generation=row.generation,
            file_count=row.file_count,
            size_bytes=row.size_bytes,
        )
        await outbox.enqueue(connection, BATCHES_OF[row.lane], woken)


async def _burn(connection: AsyncConnection, batch_ids: Sequence[UUID]) -> None:
    await let_go(connection, batch_ids, CANCELLED)
    await connection.execute(
        update(batch)
        .where(batch.c.id == func.any(list(batch_ids)))
        .values(
            state=BatchState.BURNED,
            token=batch.c.token + 1,
            last_error=CANCELLED.message,
            updated_at=func.clock_timestamp(),
        )
    )
    await connection.execute(
        update(file)
        .where(file.c.batch_id == func.any(list(batch_ids)), file.c.state == FileState.BATCHED)
        .values(
            state=FileState.DISCOVERED,
            batch_id=None,
            row_count=None,
            error_type=CANCELLED.error_type,
            error_message=CANCELLED.message,
            updated_at=func.now(),
        )
    )


def _burned(row: Row[Any]) -> tuple[Callable[[Header], RunFact], Totals]:
    """The fact of a burned batch, and what it changes."""
    batch_id, files = row.id, row.file_count

    def fact(header: Header) -> RunFact:
        return FileBatchFailed(
            **header.fields(), batch_id=batch_id, problems=(CANCELLED,), files_failed=files, files_replanned=0
        )

    return fact, Totals(files_failed=files, batches_done=1)
