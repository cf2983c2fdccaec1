"""A run as others see it: its whole state, told after each change, in the transaction of the change.

The topic keeps the latest state of each run, so who comes late reads one message per run instead of its history.
``revision`` is counted under the lock of the run's row: the states of a run leave in the order of their revisions.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem, RunState, Totals
from libs.common.contracts.topics import RUN_STATE
from libs.common.storage.control import run, run_error
from libs.common.storage.outbox import Outbox

SHOWN_MAX = 5
"""Errors and warnings in a message: it stays small, and REST has all."""
_TEXT_CHARS_MAX = 2000


async def tell_state(connection: AsyncConnection, outbox: Outbox, run_id: UUID) -> RunState:
    """Enqueues the run as it is now, under its next revision. Call it after the change, in its transaction."""
    counted = update(run).where(run.c.id == run_id).values(revision=run.c.revision + 1).returning(run)
    row = (await connection.execute(counted)).one()
    of = run_error.c.run_id == run_id
    error_count = await connection.scalar(select(func.count()).select_from(run_error).where(of)) or 0
    first = select(run_error).where(of).order_by(run_error.c.id).limit(SHOWN_MAX)
    errors = (await connection.execute(first)).all() if error_count else ()
    state = _worded(row, [_problem(each) for each in errors], error_count)
    await outbox.enqueue(connection, RUN_STATE, state)
    return state


def _worded(row: Row[Any], problems: list[Problem], error_count: int) -> RunState:
    return RunState(
        run_id=row.id,
        ingestion_id=row.ingestion_id,
        tenant_id=row.tenant_id,
        generation=row.generation,
        revision=row.revision,
        seq=row.seq,
        status=row.status,
        queued=row.dispatched_at is None and row.ended_at is None,
        trigger=row.trigger,
        lane=row.lane,
        table="{catalog}.{database}.{table}".format_map(row.definition["destination"]),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        cancel_requested_at=row.cancel_requested_at,
        retry_of=row.retry_of,
        totals=Totals.model_validate(row.totals),
        snapshot_count=len(row.snapshots),
        error_count=error_count,
        problems=tuple(problems),
        warnings=tuple(text[:_TEXT_CHARS_MAX] for text in row.warnings[:SHOWN_MAX]),
    )


def _problem(row: Row[Any]) -> Problem:
    return Problem(
        error_type=row.error_type,
        message=row.message[:_TEXT_CHARS_MAX],
        hint=row.hint[:_TEXT_CHARS_MAX],
        file=row.file or None,
        line=row.line,
    )
