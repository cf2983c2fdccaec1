"""Keeps the next tick of an ingestion in step with its definition and its status."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.definition import Definition
from libs.common.contracts.schedule import Schedule
from libs.common.schedules.jitter import start_of
from libs.common.schedules.ticks import next_after
from services.api.ingestions import repository as ingestions
from services.api.schedules import repository


async def activate(connection: AsyncConnection, of: Row[Any]) -> None:
    """The ingestion row ``of``, which the caller has locked, becomes active. A tick that it has missed stays; without
    one, it ticks from now on."""
    await ingestions.set_status(connection, of.id, "active")
    if await repository.get(connection, of.id) is None:
        await _set_next(connection, of.id, Definition.model_validate(of.definition).schedule)


async def follow(connection: AsyncConnection, of: Row[Any], before: Schedule, after: Schedule) -> None:
    """The definition of the ingestion row ``of``, which the caller has locked, has changed. A tick that an older
    schedule missed is not caught up with."""
    if of.status == "active" and before.is_wanted and not after.is_wanted:
        await ingestions.set_status(connection, of.id, "draft")
    if before == after:
        return
    if of.status == "active" or await repository.get(connection, of.id) is not None:
        await _set_next(connection, of.id, after)


async def _set_next(connection: AsyncConnection, ingestion_id: UUID, schedule: Schedule) -> None:
    tick = next_after(schedule, await repository.now(connection))
    if tick is None:
        await repository.remove(connection, ingestion_id)
    else:
        await repository.put(connection, ingestion_id, tick, start_of(schedule, ingestion_id, tick))
