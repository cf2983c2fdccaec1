"""Connection tests in Postgres: what was asked for, and what an executor said."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import TenantId
from libs.common.ledger.tables import cluster_check as found
from libs.common.storage.control import cluster_check as asked


async def insert(connection: AsyncConnection, tenant_id: TenantId, test_id: UUID, cluster_id: str) -> None:
    await connection.execute(asked.insert().values(id=test_id, tenant_id=tenant_id, cluster_id=cluster_id))


async def get(connection: AsyncConnection, tenant_id: TenantId, cluster_id: str, test_id: UUID) -> RowMapping | None:
    """A test of this tenant, with an executor's word if there is one."""
    query = (
        select(asked.c.id, asked.c.cluster_id, asked.c.created_at, found.c.ended_at, found.c.report, found.c.problem)
        .outerjoin(found, found.c.id == asked.c.id)
        .where(asked.c.id == test_id, asked.c.tenant_id == tenant_id, asked.c.cluster_id == cluster_id)
    )
    return (await connection.execute(query)).mappings().one_or_none()


async def forget(connection: AsyncConnection, *, before: ColumnElement[Any]) -> None:
    """Tests that were asked for before then, whatever became of them."""
    old = select(asked.c.id).where(asked.c.created_at < before)
    await connection.execute(delete(found).where(found.c.id.in_(old)))
    await connection.execute(delete(asked).where(asked.c.created_at < before))
