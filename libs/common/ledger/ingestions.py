"""What holds for an ingestion as a whole: the generation that may be published, and whether loading is halted.

A *generation* is one life of the ingestion's table. Scanners and executors hold the row in share mode while they
plan a batch or are about to publish one; a refresh moves the number on, which waits for them and fences all others
(I6). A *halt* says that ledger and table disagree in a way that loading would make worse (I9): nothing is loaded
until somebody looked and decided.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem
from libs.common.errors import Fenced
from libs.common.ids import IngestionId
from libs.common.ledger.tables import ingestion, storable


async def hold_generation(connection: AsyncConnection, ingestion_id: IngestionId, generation: int) -> None:
    """Until the transaction ends, ``generation`` is the ingestion's live one.

    Raises:
        Fenced: a refresh has begun another.
    """
    query = select(ingestion.c.generation).where(ingestion.c.ingestion_id == ingestion_id).with_for_update(read=True)
    live = await connection.scalar(query)
    if live is None:
        first = insert(ingestion).values(ingestion_id=ingestion_id, generation=generation)
        await connection.execute(first.on_conflict_do_nothing())
        live = await connection.scalar(query)
    if live != generation:
        raise Fenced(f"generation {generation} of ingestion {ingestion_id}: {live} has begun")


async def begin_generation(connection: AsyncConnection, ingestion_id: IngestionId, generation: int) -> None:
    """From the commit on only ``generation`` may plan and publish. Going on from there again changes nothing.

    Raises:
        Fenced: a later one has begun already.
    """
    statement = insert(ingestion).values(ingestion_id=ingestion_id, generation=generation)
    moved = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[ingestion.c.ingestion_id],
            set_={"generation": generation},
            where=ingestion.c.generation <= generation,
        )
    )
    if moved.rowcount == 0:
        raise Fenced(f"generation {generation} of ingestion {ingestion_id}")


async def halt_of(connection: AsyncConnection, ingestion_id: IngestionId | UUID) -> Problem | None:
    """Why nothing is loaded for this ingestion, if it is halted."""
    found = await connection.execute(select(ingestion).where(ingestion.c.ingestion_id == ingestion_id))
    row: Any = found.one_or_none()
    if row is None or row.halt_code is None:
        return None
    return Problem(error_type=row.halt_code, message=row.halt_message or "", hint=row.halt_hint or "")


async def halt(connection: AsyncConnection, ingestion_id: IngestionId, reason: Problem) -> None:
    """Stops loading for the ingestion. The first reason stays."""
    await connection.execute(
        update(ingestion)
        .where(ingestion.c.ingestion_id == ingestion_id, ingestion.c.halt_code.is_(None))
        .values(
            halt_code=reason.error_type,
            halt_message=storable(reason.message),
            halt_hint=reason.hint,
            halted_at=func.clock_timestamp(),
        )
    )


async def lift_halt(connection: AsyncConnection, ingestion_id: IngestionId | UUID) -> datetime | None:
    """Lets loading go on; since when it was halted, or None if it was not."""
    row = (
        await connection.execute(
            select(ingestion.c.halted_at).where(ingestion.c.ingestion_id == ingestion_id).with_for_update()
        )
    ).one_or_none()
    await connection.execute(
        update(ingestion)
        .where(ingestion.c.ingestion_id == ingestion_id)
        .values(halt_code=None, halt_message=None, halt_hint=None, halted_at=None)
    )
    return row.halted_at if row else None
