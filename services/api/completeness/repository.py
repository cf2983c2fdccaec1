"""Rows of watermarks. Statements only; ``libs/common/completeness`` decides."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.completeness.watermark import MARGIN
from libs.common.ledger.tables import watermark
from libs.common.storage.control import ingestion

_FOLLOWED = ingestion.join(
    watermark, (watermark.c.ingestion_id == ingestion.c.id) & (watermark.c.generation == ingestion.c.generation)
)


async def behind(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """The ingestions whose watermark is not as far as their last whole listing would let it be."""
    query = (
        select(ingestion.c.id, ingestion.c.tenant_id, ingestion.c.definition, ingestion.c.created_at, watermark)
        .select_from(_FOLLOWED)
        .where(
            ingestion.c.deleted_at.is_(None),
            or_(watermark.c.up_to.is_(None), watermark.c.up_to < watermark.c.listed_from - MARGIN),
        )
    )
    return (await connection.execute(query)).all()


async def lags(connection: AsyncConnection) -> dict[UUID, float]:
    """Of every ingestion that is active: how many seconds ago its watermark is."""
    lag_s = func.extract("epoch", func.clock_timestamp() - watermark.c.up_to)
    query = (
        select(ingestion.c.id, lag_s.label("lag_s"))
        .select_from(_FOLLOWED)
        .where(ingestion.c.deleted_at.is_(None), ingestion.c.status == "active", watermark.c.up_to.is_not(None))
    )
    return {row.id: float(row.lag_s) for row in await connection.execute(query)}


async def advance(connection: AsyncConnection, ingestion_id: UUID, generation: int, up_to: datetime) -> datetime | None:
    """States a later watermark, and when that was; None if it, or a later one, is stated already."""
    at: datetime | None = await connection.scalar(
        update(watermark)
        .where(
            watermark.c.ingestion_id == ingestion_id,
            watermark.c.generation == generation,
            or_(watermark.c.up_to.is_(None), watermark.c.up_to < up_to),
        )
        .values(up_to=up_to, advanced_at=func.clock_timestamp())
        .returning(watermark.c.advanced_at)
    )
    return at


async def now(connection: AsyncConnection) -> datetime:
    """On the database's clock."""
    at: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return at
