"""Rows of runs: looking at them, starting those that wait. Statements only; ``beginning.py`` stores new ones, and
``projection.py`` folds facts in."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.built_aside import definition_of_now
from libs.common.contracts.events import RunRequested
from libs.common.contracts.scope import Scope
from libs.common.contracts.topics import REQUESTS_OF
from libs.common.errors import NotFound
from libs.common.ledger.model.files import digest_of
from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.ledger.tables import file, replacement
from libs.common.storage.control import ingestion, refresh, run
from libs.common.storage.outbox import Outbox
from services.api.runs.beginning import standing_of
from services.api.runs.projection import among
from services.api.runs.states import tell_state

_NOT_LOADED = (FileState.FAILED, FileState.MISSING, FileState.DISCOVERED)


async def is_paused(connection: AsyncConnection, ingestion_id: UUID) -> bool:
    """Whether nothing may begin."""
    return await connection.scalar(select(ingestion.c.status).where(ingestion.c.id == ingestion_id)) == "paused"


async def get(connection: AsyncConnection, ingestion_id: UUID, run_id: UUID) -> Row[Any]:
    """
    Raises:
        NotFound: no such run of this ingestion.
    """
    query = select(run).where(run.c.ingestion_id == ingestion_id, run.c.id == run_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise unknown(ingestion_id, run_id)
    return row


async def has_unloaded(connection: AsyncConnection, of: Row[Any]) -> bool:
    """Whether the run ``of`` left files that are not loaded, and that no later run has found again."""
    left = exists().where(
        file.c.ingestion_id == of.ingestion_id,
        file.c.generation == of.generation,
        file.c.run_id == of.id,
        file.c.state.in_(_NOT_LOADED),
    )
    is_loaded = exists().where(
        file.c.ingestion_id == replacement.c.ingestion_id,
        file.c.generation == replacement.c.generation,
        file.c.key_digest == replacement.c.key_digest,
        file.c.state.in_(LOADED_FILE_STATES),
        or_(file.c.version_tag == replacement.c.version_tag, file.c.updated_at > replacement.c.updated_at),
    )
    not_replaced = exists().where(
        replacement.c.run_id == of.id,
        replacement.c.generation == of.generation,
        replacement.c.state.in_(_NOT_LOADED),
        ~is_loaded,
    )
    return bool(await connection.scalar(select(or_(left, not_replaced))))


async def has_loaded(connection: AsyncConnection, of: Row[Any], bucket: str, scope: Scope) -> bool:
    """Whether a file that the scope names is loaded. One that names only what failed names none."""
    loaded = exists().where(
        file.c.ingestion_id == of.id, file.c.generation == of.generation, file.c.state.in_(LOADED_FILE_STATES)
    )
    if scope.failed:
        return False
    if scope.keys is not None:
        loaded = loaded.where(file.c.key_digest == func.any([digest_of(bucket, key) for key in scope.keys]))
    if scope.prefix is not None:
        loaded = loaded.where(file.c.key.startswith(scope.prefix, autoescape=True))
    return bool(await connection.scalar(select(loaded)))


def unknown(ingestion_id: UUID, run_id: UUID) -> NotFound:
    return NotFound(
        f"no run of ingestion {ingestion_id} has the id {run_id}",
        code="unknown_run",
        hint=f"GET /api/v1/ingestions/{ingestion_id}/runs lists its runs",
    )


async def mark_cancelled(connection: AsyncConnection, run_id: UUID) -> datetime:
    """That somebody wants the run to end; since when."""
    at: datetime | None = await connection.scalar(
        update(run)
        .where(run.c.id == run_id)
        .values(cancel_requested_at=func.coalesce(run.c.cancel_requested_at, func.now()))
        .returning(run.c.cancel_requested_at)
    )
    assert at is not None
    return at


async def reads_all_that_is_new(connection: AsyncConnection, ingestion_id: UUID, run_id: UUID) -> bool:
    """Whether the run is no retry, and reads no part of the source alone: whatever another one would find, it finds."""
    row = await get(connection, ingestion_id, run_id)
    return row.retry_of is None and row.scope is None


async def announce(connection: AsyncConnection, outbox: Outbox, run_ids: Collection[UUID]) -> None:
    """Wakes scanners for the runs, once this transaction commits."""
    rows = await connection.execute(select(run).where(among(run.c.id, run_ids)))
    requests = [
        (
            REQUESTS_OF[row.lane],
            RunRequested(
                run_id=row.id,
                ingestion_id=row.ingestion_id,
                generation=row.generation,
                tenant_id=row.tenant_id,
                trigger=row.trigger,
            ),
        )
        for row in rows
    ]
    await outbox.enqueue_all(connection, requests)


async def lock_ingestion(connection: AsyncConnection, ingestion_id: UUID) -> None:
    """Taken before any run of it is changed, so that requests and endings take turns. Deleted ones too."""
    query = select(ingestion.c.id).where(ingestion.c.id == ingestion_id)
    await connection.execute(query.with_for_update(key_share=True))


async def dispatch_queued(connection: AsyncConnection, outbox: Outbox, ingestion_id: UUID) -> list[UUID]:
    """Starts the queued run of each lane, if there is one, none is active in it, and the ingestion is not paused, nor
    its table about to be replaced. The caller holds the ingestion's lock."""
    if await is_paused(connection, ingestion_id) or await _is_swapped(connection, ingestion_id):
        return []
    started = []
    for here in (await standing_of(connection, ingestion_id)).lanes.values():
        queued = here.queued
        if here.active is not None or queued is None:
            continue
        await connection.execute(
            update(run).where(run.c.id == queued, run.c.dispatched_at.is_(None)).values(dispatched_at=func.now())
        )
        await tell_state(connection, outbox, queued)
        await announce(connection, outbox, [queued])
        started.append(queued)
    return started


async def move_on(connection: AsyncConnection, of: Row[Any]) -> list[UUID]:
    """Runs that wait, and that no scanner has heard of yet, go into the table and the generation of the ingestion row
    ``of``. Returns their ids."""
    moved = await connection.scalars(
        update(run)
        .where(run.c.ingestion_id == of.id, run.c.ended_at.is_(None), run.c.dispatched_at.is_(None))
        .values(generation=of.generation, definition=definition_of_now(of.definition, of.building))
        .returning(run.c.id)
    )
    return list(moved)


async def _is_swapped(connection: AsyncConnection, ingestion_id: UUID) -> bool:
    under_way = exists().where(
        refresh.c.ingestion_id == ingestion_id, refresh.c.ended_at.is_(None), refresh.c.mode == "swap"
    )
    return bool(await connection.scalar(select(under_way)))
