"""What an ingestion's last runs did, for the cost model."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Totals
from libs.common.lifecycle.run import RunStatus
from libs.common.storage.control import run
from services.api.costs.model import PastRun, Work

RUNS_MAX = 5


async def past_runs(connection: AsyncConnection, ingestion_id: UUID) -> list[PastRun]:
    """The newest runs that ended well and loaded something, at most ``RUNS_MAX``."""
    query = (
        select(run.c.totals, run.c.started_at, run.c.ended_at)
        .where(
            run.c.ingestion_id == ingestion_id,
            run.c.status == RunStatus.SUCCESS.value,
            run.c.started_at.is_not(None),
            run.c.totals["files_done"].as_integer() > 0,
        )
        .order_by(run.c.created_at.desc())
        .limit(RUNS_MAX)
    )
    found = []
    for row in await connection.execute(query):
        totals = Totals.model_validate(row.totals)
        work = Work(totals.files_discovered, totals.files_done, totals.bytes_read, totals.batches_done)
        seconds = max(0.0, (row.ended_at - row.started_at).total_seconds())
        found.append(PastRun(work, seconds, totals.records_ingested))
    return found
