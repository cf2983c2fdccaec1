"""The versions of a table's columns, read for clients."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.errors import NotFound
from libs.common.ledger.tables import column_decision, schema_version
from services.api.pages import Page


async def page(
    connection: AsyncConnection, ingestion_id: UUID, generation: int, page: Page
) -> tuple[list[dict[str, Any]], int]:
    """The versions of one generation, newest first, and how many there are."""
    wanted = (schema_version.c.ingestion_id == ingestion_id, schema_version.c.generation == generation)
    total = await connection.scalar(select(func.count()).select_from(schema_version).where(*wanted))
    newest_first = select(schema_version).where(*wanted).order_by(schema_version.c.version.desc())
    rows = (await connection.execute(newest_first.limit(page.limit).offset(page.offset))).mappings()
    return [dict(row) for row in rows], total or 0


async def said(connection: AsyncConnection, ingestion_id: UUID) -> list[dict[str, Any]]:
    """What was decided, or waits for a decision, of which columns; the newest first."""
    query = select(column_decision).where(column_decision.c.ingestion_id == ingestion_id)
    newest_first = query.order_by(column_decision.c.created_at.desc(), column_decision.c.column)
    return [dict(row) for row in (await connection.execute(newest_first)).mappings()]


async def get(connection: AsyncConnection, ingestion_id: UUID, generation: int, version: int) -> dict[str, Any]:
    """
    Raises:
        NotFound: code ``unknown_schema_version``.
    """
    query = select(schema_version).where(
        schema_version.c.ingestion_id == ingestion_id,
        schema_version.c.generation == generation,
        schema_version.c.version == version,
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound(
            f"the table of this ingestion never had a schema of version {version}",
            code="unknown_schema_version",
            hint=f"GET /api/v1/ingestions/{ingestion_id}/schema/versions lists them",
        )
    return dict(row)
