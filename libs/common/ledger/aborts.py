"""Ending a run for its first file with bad records (``on_error: abort``).

It is part of the transaction that burns the file's batch. From its commit on the listing is fenced, no batch of the run
passes the guard before a publish, and whoever claims one gives it up. What was published before stays. Crash anywhere:
the mark is on the run, and sweepers bring the batches that are left to executors, which find it.
"""

from collections.abc import Callable

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem, RunFact, ScanFailed, Totals
from libs.common.ids import RunId
from libs.common.ledger.run_log import Header
from libs.common.ledger.states import ScanState
from libs.common.ledger.tables import scan

ABORTED = Problem(
    error_type="run_aborted",
    message="the run was ended before this was loaded: a file of it has bad records, and quality.on_error is abort",
    hint="correct that file, or set quality.on_error to continue or skip_file: the next run loads what is missing",
)


async def abort_run(connection: AsyncConnection, run_id: RunId) -> list[tuple[Callable[[Header], RunFact], Totals]]:
    """Marks the run. What else there is to tell of it then: that its listing ended, if it had not."""
    state = await connection.scalar(select(scan.c.state).where(scan.c.run_id == run_id).with_for_update(key_share=True))
    await connection.execute(
        update(scan)
        .where(scan.c.run_id == run_id)
        .values(token=scan.c.token + 1, lease_until=None, aborted_at=func.clock_timestamp())
    )
    if state != ScanState.SCANNING:
        return []
    return [(lambda h: ScanFailed(**h.fields(), problem=ABORTED), Totals())]


async def abort_of(connection: AsyncConnection, run_id: RunId) -> Problem | None:
    """Why nothing more of the run may be loaded, if it was aborted."""
    at = await connection.scalar(select(scan.c.aborted_at).where(scan.c.run_id == run_id))
    return None if at is None else ABORTED
