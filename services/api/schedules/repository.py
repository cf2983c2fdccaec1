"""Rows of schedules: the next tick of each ingestion that goes by the clock. Statements only."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.storage.control import ingestion, run, schedule

_IS_ON = (schedule.c.ingestion_id == ingestion.c.id, ingestion.c.status == "active", ingestion.c.deleted_at.is_(None))


async def now(connection: AsyncConnection) -> datetime:
    """By the database's clock, which all replicas share."""
    at: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return at


async def get(connection: AsyncConnection, ingestion_id: UUID) -> Row[Any] | None:
    """None: the ingestion does not go by the clock, or has never been active since it does."""
    return (await connection.execute(select(schedule).where(schedule.c.ingestion_id == ingestion_id))).one_or_none()


async def put(connection: AsyncConnection, ingestion_id: UUID, tick_at: datetime, due_at: datetime) -> None:
    """``tick_at`` is the next tick. The caller holds the ingestion's lock, here and below."""
    values = {"tick_at": tick_at, "due_at": due_at, "blocked_by": None}
    statement = insert(schedule).values(ingestion_id=ingestion_id, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=[schedule.c.ingestion_id], set_=values))


async def postpone(connection: AsyncConnection, ingestion_id: UUID, pause: timedelta, blocked_by: str) -> None:
    """The tick stays, and is looked at again after the pause."""
    await connection.execute(
        update(schedule)
        .where(schedule.c.ingestion_id == ingestion_id)
        .values(due_at=func.now() + pause, blocked_by=blocked_by)
    )


async def remove(connection: AsyncConnection, ingestion_id: UUID) -> None:
    await connection.execute(delete(schedule).where(schedule.c.ingestion_id == ingestion_id))


async def take_due(connection: AsyncConnection) -> Row[Any] | None:
    """The schedule that is due for longest, with its ingestion, both locked, and the time it is now; what others hold
    is left to them."""
    query = (
        select(schedule, ingestion.c.definition, func.now().label("now"))
        .join(ingestion, schedule.c.ingestion_id == ingestion.c.id)
        .where(*_IS_ON, schedule.c.due_at <= func.now())
        .order_by(schedule.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return (await connection.execute(query)).one_or_none()


async def until_due(connection: AsyncConnection) -> timedelta | None:
    """How long it is until a schedule is due; None: there is none."""
    query = select((func.min(schedule.c.due_at) - func.now()).label("left")).where(*_IS_ON)
    left: timedelta | None = await connection.scalar(query)
    return left


async def has_run_for(connection: AsyncConnection, ingestion_id: UUID, tick_at: datetime) -> bool:
    """Whether this tick has a run already."""
    query = select(exists().where(run.c.ingestion_id == ingestion_id, run.c.tick_at == tick_at))
    return bool(await connection.scalar(query))
