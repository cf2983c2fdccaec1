"""Rows of refreshes. Statements only."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, exists, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import RefreshTable
from libs.common.contracts.topics import TABLE_COMMANDS
from libs.common.errors import Conflict, NotFound
from libs.common.ledger.tables import scan
from libs.common.storage.control import ingestion, refresh, run
from libs.common.storage.outbox import Outbox
from services.api.pages import Page


async def insert(connection: AsyncConnection, of: Row[Any], **values: Any) -> None:
    """A refresh of the ingestion row ``of``, with its definition frozen."""
    await connection.execute(
        refresh.insert().values(
            ingestion_id=of.id,
            from_generation=of.generation,
            to_generation=of.generation + 1,
            definition=of.definition,
            **values,
        )
    )


async def get(connection: AsyncConnection, refresh_id: UUID) -> Row[Any] | None:
    """With ``is_undone``, and what became of the table that it built aside, as all rows of refreshes here: see
    ``_known``."""
    row: Row[Any] | None = (await connection.execute(_known().where(refresh.c.id == refresh_id))).one_or_none()
    return row


async def one_of(connection: AsyncConnection, ingestion_id: UUID, refresh_id: UUID) -> Row[Any]:
    """
    Raises:
        NotFound: no such refresh of this ingestion.
    """
    row = await get(connection, refresh_id)
    if row is None or row.ingestion_id != ingestion_id:
        raise NotFound(
            f"no refresh of ingestion {ingestion_id} has the id {refresh_id}",
            code="unknown_refresh",
            hint=f"GET /api/v1/ingestions/{ingestion_id}/refresh lists its refreshes",
        )
    return row


async def page(connection: AsyncConnection, ingestion_id: UUID, page: Page) -> tuple[list[Row[Any]], int]:
    """The refreshes of one page, newest first, and how many there are in all."""
    of = refresh.c.ingestion_id == ingestion_id
    total = await connection.scalar(select(func.count()).select_from(refresh).where(of))
    newest_first = _known().where(of).order_by(refresh.c.created_at.desc(), refresh.c.id.desc())
    rows = (await connection.execute(newest_first.limit(page.limit).offset(page.offset))).all()
    return list(rows), total or 0


async def done_since(connection: AsyncConnection, row: Row[Any]) -> list[Row[Any]]:
    """Refreshes of the same ingestion that were done after this one, oldest first."""
    rows = await connection.execute(
        _known()
        .where(
            refresh.c.ingestion_id == row.ingestion_id,
            refresh.c.from_generation >= row.to_generation,
            refresh.c.status == "success",
        )
        .order_by(refresh.c.to_generation)
    )
    return list(rows.all())


async def now(connection: AsyncConnection) -> datetime:
    """By the database's clock, which all replicas share."""
    at: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return at


async def active(connection: AsyncConnection, ingestion_id: UUID) -> Row[Any] | None:
    """The refresh that is under way, if there is one."""
    query = select(refresh).where(refresh.c.ingestion_id == ingestion_id, refresh.c.ended_at.is_(None))
    return (await connection.execute(query)).one_or_none()


async def refuse_while_under_way(connection: AsyncConnection, ingestion_id: UUID) -> None:
    """
    Raises:
        Conflict: code ``refresh_active``.
    """
    row = await active(connection, ingestion_id)
    if row is not None:
        raise Conflict(
            f"refresh {row.id} of this ingestion is under way",
            code="refresh_active",
            hint=f"wait until it is done: GET /api/v1/ingestions/{ingestion_id}/refresh/{row.id}; then try again",
        )


def refuse_while_building(of: Row[Any]) -> None:
    """
    Raises:
        Conflict: code ``refresh_building``.
    """
    if of.building is not None:
        path = f"/api/v1/ingestions/{of.id}"
        raise Conflict(
            f"refresh {of.building} of this ingestion is not complete: its table has not taken the old one's place",
            code="refresh_building",
            hint=f"POST {path}/run loads what it lacks, and it takes the place when nothing is left; or give it up: "
            f"POST {path}/refresh/{of.building}/undo",
        )


async def announce(connection: AsyncConnection, outbox: Outbox, refresh_id: UUID) -> None:
    """Wakes an executor for the refresh, once this transaction commits."""
    row = await get(connection, refresh_id)
    assert row is not None
    command = RefreshTable(
        refresh_id=row.id,
        ingestion_id=row.ingestion_id,
        mode=row.mode,
        from_generation=row.from_generation,
        to_generation=row.to_generation,
        undoes=row.undoes,
        strategy=row.strategy,
        completes=row.completes,
    )
    await outbox.enqueue(connection, TABLE_COMMANDS, command)


async def unfinished(connection: AsyncConnection) -> dict[UUID, Any]:
    """Refreshes that have not ended, and when each was asked for."""
    rows = await connection.execute(select(refresh.c.id, refresh.c.created_at).where(refresh.c.ended_at.is_(None)))
    return {row.id: row.created_at for row in rows}


async def change(connection: AsyncConnection, refresh_id: UUID, **values: Any) -> bool:
    """Guarded: a refresh that has ended stays as it is. Whether it was changed."""
    changed = await connection.execute(
        update(refresh).where(refresh.c.id == refresh_id, refresh.c.ended_at.is_(None)).values(**values)
    )
    return changed.rowcount > 0


async def begin_generation(
    connection: AsyncConnection, ingestion_id: UUID, generation: int, building: UUID | None
) -> Row[Any]:
    """The ingestion's row, with ``generation`` or a later one, and with the refresh that builds its table aside, if one
    does. The caller holds its lock."""
    await connection.execute(
        update(ingestion)
        .where(ingestion.c.id == ingestion_id, ingestion.c.generation < generation)
        .values(generation=generation, building=building, updated_at=func.now())
    )
    return (await connection.execute(select(ingestion).where(ingestion.c.id == ingestion_id))).one()


async def runs_that_never_began(connection: AsyncConnection, ingestion_id: UUID, generation: int) -> list[Row[Any]]:
    """Runs of older generations that have no scan, and will never have one; queued ones first."""
    rows = await connection.execute(
        select(run)
        .outerjoin(scan, scan.c.run_id == run.c.id)
        .where(
            run.c.ingestion_id == ingestion_id,
            run.c.generation < generation,
            run.c.ended_at.is_(None),
            scan.c.run_id.is_(None),
        )
        .order_by(run.c.dispatched_at.asc().nulls_first())
    )
    return list(rows.all())


def _known() -> Select[Any]:
    undo = refresh.alias("undo")
    is_undone = exists().where(undo.c.undoes == refresh.c.id, undo.c.status == "success")
    is_building = exists().where(ingestion.c.id == refresh.c.ingestion_id, ingestion.c.building == refresh.c.id)
    completed_by = refresh.alias("completed_by")
    swap = (
        select(
            completed_by.c.status, completed_by.c.problem, completed_by.c.told_at, completed_by.c.ended_at,
            completed_by.c.replaced_snapshot, completed_by.c.row_count,
        )
        .where(completed_by.c.completes == refresh.c.id)
        .order_by(completed_by.c.created_at.desc())
        .limit(1)
        .lateral("swap")
    )  # fmt: skip
    last_run = (
        select(run.c.id, run.c.status)
        .where(
            refresh.c.builds.is_not(None),
            run.c.ingestion_id == refresh.c.ingestion_id,
            run.c.generation == refresh.c.to_generation,
            run.c.ended_at.is_not(None),
        )
        .order_by(run.c.ended_at.desc())
        .limit(1)
        .lateral("last_run")
    )
    return select(
        refresh,
        is_undone.label("is_undone"),
        is_building.label("is_building"),
        *(column.label(f"swap_{column.name}") for column in swap.c),
        *(column.label(f"last_run_{column.name}") for column in last_run.c),
    ).select_from(refresh.outerjoin(swap, true()).outerjoin(last_run, true()))
