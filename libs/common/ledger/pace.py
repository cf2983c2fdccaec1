"""How long batches took lately: for scanners, which cut the next ones. The function runs inside of a transaction of
``scans.py``."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.model.batches import PastBatch
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.states import BatchState
from libs.common.ledger.tables import batch, batch_attempt
from libs.common.storage.control import run

RUNS = 50
"""How many runs are looked at, the newest first: many find nothing. Batches are found by their runs."""
BATCHES_MAX = 10


async def past_batches(connection: AsyncConnection, claim: ScanClaim, *, at_least: timedelta) -> list[PastBatch]:
    """The latest batches of the claim's table that were published, by attempts that took so long, or longer."""
    lately = (
        select(run.c.id).where(run.c.ingestion_id == claim.ingestion_id).order_by(run.c.created_at.desc()).limit(RUNS)
    )
    took = batch_attempt.c.ended_at - batch_attempt.c.started_at
    query = (
        select(
            batch.c.file_count,
            batch.c.size_bytes,
            batch.c.replaces_rows,
            func.extract("epoch", took).label("seconds"),
        )
        .join(batch_attempt, batch_attempt.c.batch_id == batch.c.id)
        .where(
            batch.c.run_id.in_(lately),
            batch.c.generation == claim.generation,
            batch.c.state == BatchState.PUBLISHED,
            batch_attempt.c.outcome == "published",
            took >= at_least,
        )
        .order_by(batch_attempt.c.ended_at.desc())
        .limit(BATCHES_MAX)
    )
    rows = await connection.execute(query)
    return [PastBatch(row.file_count, row.size_bytes, float(row.seconds), row.replaces_rows) for row in rows]
