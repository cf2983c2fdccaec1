"""Batches that are planned and not finished, counted: for scanners, which shall not run ahead of executors, and for
executors, which take tenants by turns.

The functions run inside transactions of ``scans.py`` and ``batches.py``.
"""

from collections.abc import Collection

from sqlalchemy import and_, func, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import BatchId, TenantId
from libs.common.ledger.model.backlogs import Backlog, Waiting
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState
from libs.common.ledger.tables import batch
from libs.common.storage.control import run

_UNFINISHED = batch.c.state.not_in(FINAL_BATCH_STATES)
_OF_RUNS = batch.join(run, run.c.id == batch.c.run_id)


async def backlog(connection: AsyncConnection, claim: ScanClaim) -> Backlog:
    """What executors have before them, as the claim's listing counts it."""
    mine = (await connection.execute(select(run.c.tenant_id, run.c.lane).where(run.c.id == claim.run_id))).one()
    is_of_tenant = run.c.tenant_id == mine.tenant_id
    query = (
        select(
            func.count().filter(batch.c.ingestion_id == claim.ingestion_id).label("of_ingestion"),
            func.count().filter(is_of_tenant).label("of_tenant"),
            func.count().label("in_all"),
            func.count(run.c.tenant_id.distinct()).filter(~is_of_tenant).label("other_tenants"),
        )
        .select_from(_OF_RUNS)
        .where(_UNFINISHED, batch.c.lane == "fresh" if mine.lane == "fresh" else true())
    )
    row = (await connection.execute(query)).one()
    return Backlog(row.of_ingestion, row.of_tenant, row.in_all, row.other_tenants + 1)


async def waiting(
    connection: AsyncConnection, batch_id: BatchId, *, besides: Collection[BatchId] = ()
) -> list[Waiting]:
    """The tenants that have batches which nobody has begun, in the lane of ``batch_id``; others than ``besides``."""
    lane = select(batch.c.lane).where(batch.c.id == batch_id).scalar_subquery()
    is_new = and_(batch.c.state == BatchState.PLANNED, batch.c.attempts == 0, batch.c.id.not_in(besides))
    oldest_first = aggregate_order_by(batch.c.id, batch.c.created_at, batch.c.id)
    query = (
        select(
            run.c.tenant_id,
            func.count().filter(batch.c.lease_until > func.clock_timestamp()).label("in_work"),
            func.array_agg(oldest_first).filter(is_new).label("ids"),
            func.min(batch.c.created_at).filter(is_new).label("since"),
        )
        .select_from(_OF_RUNS)
        .where(_UNFINISHED, batch.c.lane == lane)
        .group_by(run.c.tenant_id)
    )
    rows = await connection.execute(query)
    return [Waiting(TenantId(r.tenant_id), r.in_work, BatchId(r.ids[0]), r.since) for r in rows if r.ids]
