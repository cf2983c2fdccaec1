"""Rows of plans. Statements only."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, String, cast, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.errors import NotFound
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.tables import schema_version
from libs.common.storage.control import refresh, run
from libs.common.storage.plans import KEPT, plan, plan_file

_ROWS_PER_INSERT = 5000
_FORGOTTEN_AT_ONCE = 10


async def insert(connection: AsyncConnection, values: dict[str, Any], files: Sequence[FileVersion]) -> None:
    """A plan with all its files."""
    await connection.execute(plan.insert().values(values))
    for start in range(0, len(files), _ROWS_PER_INSERT):
        rows = [
            {
                "plan_id": values["id"],
                "place": start + n,
                "bucket": f.bucket,
                "key": f.key,
                "etag": f.etag,
                "size_bytes": f.size_bytes,
                "last_modified": f.last_modified,
            }
            for n, f in enumerate(files[start : start + _ROWS_PER_INSERT])
        ]
        await connection.execute(plan_file.insert(), rows)


async def get(connection: AsyncConnection, ingestion_id: UUID, plan_id: UUID, *, is_applied: bool = False) -> Row[Any]:
    """A plan. If it ``is_applied``, it stays until this transaction ends.

    Raises:
        NotFound: no such plan of this ingestion, or it is forgotten.
    """
    # Shared: a plan that is being applied is not forgotten in between.
    query = select(plan).where(plan.c.id == plan_id, plan.c.ingestion_id == ingestion_id)
    row = (await connection.execute(query.with_for_update(read=True) if is_applied else query)).one_or_none()
    if row is None:
        raise NotFound(
            f"no plan of ingestion {ingestion_id} has the id {plan_id}",
            code="unknown_plan",
            hint=f"plans are forgotten after {KEPT.total_seconds() / 3600:g} hours; "
            f"POST /api/v1/ingestions/{ingestion_id}/plan makes a new one",
        )
    return row


async def columns(connection: AsyncConnection, ingestion_id: UUID, generation: int) -> list[str]:
    """The names of the table's columns, as the last batch left them; none if there is no table yet."""
    newest = (
        select(schema_version.c.columns)
        .where(schema_version.c.ingestion_id == ingestion_id, schema_version.c.generation == generation)
        .order_by(schema_version.c.version.desc())
        .limit(1)
    )
    return [column["name"] for column in await connection.scalar(newest) or ()]


async def predicted_by(connection: AsyncConnection, plan_id: UUID) -> Any:
    """What a plan expects, as stored; None if it is forgotten."""
    return await connection.scalar(select(plan.c.shown["predicted"]).where(plan.c.id == plan_id))


async def forget_old(connection: AsyncConnection) -> None:
    """Plans older than ``KEPT`` that no run has yet to read, and no refresh. Some of them: each names many
    files."""
    by_a_run = exists().where(run.c.ended_at.is_(None), run.c.scope["plan_id"].as_string() == cast(plan.c.id, String))
    by_a_refresh = exists().where(refresh.c.ended_at.is_(None), refresh.c.plan_id == plan.c.id)
    old = (
        select(plan.c.id)
        .where(plan.c.created_at < func.now() - KEPT, ~by_a_run, ~by_a_refresh)
        .order_by(plan.c.created_at)
        .limit(_FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    await connection.execute(delete(plan).where(plan.c.id.in_(old)))
