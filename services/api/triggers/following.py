"""Rows of ingestions that follow notifications. Statements only."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, Row, and_, cast, exists, func, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.scope import Lane
from libs.common.ledger.hints import hinted
from libs.common.ledger.tables import ingestion as ledger_ingestion
from libs.common.lifecycle.run import RunStatus
from libs.common.storage.control import ingestion, refresh, run
from libs.common.storage.following import following, follows_notifications

_NOW = func.clock_timestamp()


async def notice_changes(connection: AsyncConnection, settled: timedelta) -> None:
    """Ingestions that have begun to follow, or were changed since, are listed ``settled`` from now."""
    soon = _NOW + cast(settled, Interval)
    seen = select(ingestion.c.id, ingestion.c.updated_at, soon, soon)
    known = exists().where(following.c.ingestion_id == ingestion.c.id, following.c.revision == ingestion.c.updated_at)
    statement = insert(following).from_select(
        ["ingestion_id", "revision", "since", "listing_at"], seen.where(follows_notifications(), ~known)
    )
    new = statement.excluded
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[following.c.ingestion_id],
            set_={
                "revision": new.revision,
                "since": new.since,
                "listing_at": new.listing_at,
                "listing_run_id": null(),
                "run_id": null(),
                "failures": 0,
            },
            where=following.c.revision < new.revision,
        )
    )


async def to_list(connection: AsyncConnection, *, again_after: timedelta, limit: int) -> list[UUID]:
    """Ingestions whose source is to be listed: it is time, or the last listing failed ``again_after`` ago."""
    query = (
        select(following.c.ingestion_id)
        .join(ingestion, ingestion.c.id == following.c.ingestion_id)
        .outerjoin(run, run.c.id == following.c.listing_run_id)
        .where(follows_notifications(), _may_start("backfill"), _is_time_to_list(again_after))
        .order_by(following.c.listing_at)
        .limit(limit)
    )
    return list(await connection.scalars(query))


async def hold_for_listing(
    connection: AsyncConnection, ingestion_id: UUID, *, again_after: timedelta
) -> Row[Any, Any] | None:
    """The row with the ingestion's definition, held; None if another process has it, or has been faster."""
    query = (
        select(following.c.since, ingestion.c.definition)
        .select_from(
            following.join(ingestion, ingestion.c.id == following.c.ingestion_id).outerjoin(
                run, run.c.id == following.c.listing_run_id
            )
        )
        .where(following.c.ingestion_id == ingestion_id, follows_notifications(), _is_time_to_list(again_after))
        .with_for_update(of=following, skip_locked=True)
    )
    return (await connection.execute(query)).one_or_none()


async def is_listed(connection: AsyncConnection, ingestion_id: UUID, run_id: UUID, next_after: timedelta) -> None:
    await connection.execute(
        update(following)
        .where(following.c.ingestion_id == ingestion_id)
        .values(listing_run_id=run_id, listing_at=_NOW + cast(next_after, Interval))
    )


async def postpone(connection: AsyncConnection, ingestion_id: UUID, pause: timedelta) -> None:
    """The listing was refused; it is asked for again after a pause."""
    await connection.execute(
        update(following)
        .where(following.c.ingestion_id == ingestion_id)
        .values(listing_run_id=None, listing_at=_NOW + cast(pause, Interval))
    )


async def gathered(connection: AsyncConnection, ingestion_id: UUID | None = None) -> list[Row[Any]]:
    """What waits for ingestions that could begin a run of it now: of all, or of one."""
    query = (
        select(
            hinted.c.ingestion_id,
            hinted.c.files,
            hinted.c.size_bytes,
            hinted.c.first_at,
            ingestion.c.definition["schedule"].label("schedule"),
            following.c.failures,
            run.c.created_at.label("requested_at"),
            run.c.ended_at,
            run.c.status,
            _NOW.label("now"),
        )
        .join(ingestion, ingestion.c.id == hinted.c.ingestion_id)
        .join(following, following.c.ingestion_id == hinted.c.ingestion_id)
        .outerjoin(run, run.c.id == following.c.run_id)
        .where(hinted.c.first_at.is_not(None), follows_notifications(), _may_start("fresh"))
    )
    if ingestion_id is not None:
        query = query.where(hinted.c.ingestion_id == ingestion_id)
    return list(await connection.execute(query.order_by(hinted.c.first_at)))


async def hold(connection: AsyncConnection, ingestion_id: UUID) -> bool:
    """False if another process has it."""
    query = select(following.c.ingestion_id).where(following.c.ingestion_id == ingestion_id)
    return await connection.scalar(query.with_for_update(skip_locked=True)) is not None


async def has_begun(connection: AsyncConnection, ingestion_id: UUID, run_id: UUID, failures: int) -> None:
    await connection.execute(
        update(following).where(following.c.ingestion_id == ingestion_id).values(run_id=run_id, failures=failures)
    )


def _is_time_to_list(again_after: timedelta) -> Any:
    has_failed = and_(run.c.status == RunStatus.FAILED, run.c.ended_at < _NOW - cast(again_after, Interval))
    return or_(following.c.listing_at <= _NOW, has_failed)


def _may_start(lane: Lane) -> Any:
    """Whether nothing is under way that a run of the ingestion would have to wait for, or be refused for."""
    other = run.alias("other")
    is_busy = exists().where(
        other.c.ingestion_id == ingestion.c.id, other.c.lane == literal(lane), other.c.ended_at.is_(None)
    )
    is_halted = exists().where(
        ledger_ingestion.c.ingestion_id == ingestion.c.id, ledger_ingestion.c.halt_code.is_not(None)
    )
    is_refreshed = exists().where(refresh.c.ingestion_id == ingestion.c.id, refresh.c.ended_at.is_(None))
    return and_(~is_busy, ~is_halted, ~is_refreshed)
