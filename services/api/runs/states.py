"""A run as others see it: its whole state, told after each change, in the transaction of the change.

The topic keeps the latest state of each run, so who comes late reads one message per run instead of its history.
``revision`` is counted under the lock of the run's row: the states of a run leave in the order of their revisions.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem, RunState
from libs.common.contracts.topics import RUN_STATE
from libs.common.storage.control import run, run_error
from libs.common.storage.outbox import Outbox
from services.api.runs.projection import Change, among

SHOWN_MAX = 5
"""Errors and warnings in a message: it stays small, and REST has all."""
_TEXT_CHARS_MAX = 2000


class _Problems(NamedTuple):
    total: int = 0
    first: tuple[Problem, ...] = ()


async def tell_state(connection: AsyncConnection, outbox: Outbox, run_id: UUID) -> RunState:
    """Enqueues the run as it is now, under its next revision. Call it after the change, in its transaction."""
    counted = update(run).where(run.c.id == run_id).values(revision=run.c.revision + 1).returning(run)
    row = (await connection.execute(counted)).one()
    state = _worded(row, (await _problems(connection, [run_id])).get(run_id, _Problems()))
    await outbox.enqueue(connection, RUN_STATE, state)
    return state


async def tell_changes(
    connection: AsyncConnection, outbox: Outbox, changes: Sequence[Change]
) -> Mapping[UUID, RunState]:
    """Enqueues runs as facts have changed them, each under the revision that the change was stored with."""
    problems = await _problems(connection, [change.row.id for change in changes])
    states = {change.row.id: _changed(change, problems.get(change.row.id, _Problems())) for change in changes}
    await outbox.enqueue_all(connection, [(RUN_STATE, state) for state in states.values()])
    return states


async def _problems(connection: AsyncConnection, run_ids: Collection[UUID]) -> Mapping[UUID, _Problems]:
    """How many each run has, and the first of them; runs without any are absent."""
    place = func.row_number().over(partition_by=run_error.c.run_id, order_by=run_error.c.id)
    count = func.count().over(partition_by=run_error.c.run_id)
    ranked = select(run_error, place.label("place"), count.label("error_count")).where(
        among(run_error.c.run_id, run_ids)
    )
    found = ranked.subquery()
    query = select(found).where(found.c.place <= SHOWN_MAX).order_by(found.c.run_id, found.c.place)
    problems: dict[UUID, _Problems] = {}
    for row in await connection.execute(query):
        known = problems.get(row.run_id, _Problems())
        problems[row.run_id] = _Problems(row.error_count, (*known.first, _problem(row)))
    return problems


def _changed(change: Change, problems: _Problems) -> RunState:
    """The row is that from before."""
    row, after = change.row, change.after
    return _worded(
        row,
        problems,
        revision=row.revision + 1,
        seq=after.seq,
        status=after.status.value,
        queued=row.dispatched_at is None and after.ended_at is None,
        started_at=after.started_at,
        ended_at=after.ended_at,
        totals=after.totals,
        snapshot_count=len(after.snapshots),
        warnings=_shown([*row.warnings, *change.more_warnings]),
    )


def _worded(row: Row[Any], problems: _Problems, **newer: Any) -> RunState:
    """``newer``: what the row does not say yet."""
    words = {
        "run_id": row.id,
        "ingestion_id": row.ingestion_id,
        "tenant_id": row.tenant_id,
        "generation": row.generation,
        "revision": row.revision,
        "seq": row.seq,
        "status": row.status,
        "queued": row.dispatched_at is None and row.ended_at is None,
        "trigger": row.trigger,
        "lane": row.lane,
        "table": table_of(row.definition),
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "cancel_requested_at": row.cancel_requested_at,
        "retry_of": row.retry_of,
        "totals": row.totals,
        "snapshot_count": len(row.snapshots),
        "error_count": problems.total,
        "problems": problems.first,
        "warnings": _shown(row.warnings),
    }
    return RunState.model_validate({**words, **newer})


def table_of(definition: Mapping[str, Any]) -> str:
    """What a run with this definition loads, in the stored form of definitions."""
    return "{catalog}.{database}.{table}".format_map(definition["destination"])


def _shown(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(text[:_TEXT_CHARS_MAX] for text in warnings[:SHOWN_MAX])


def _problem(row: Row[Any]) -> Problem:
    return Problem(
        error_type=row.error_type,
        message=row.message[:_TEXT_CHARS_MAX],
        hint=row.hint[:_TEXT_CHARS_MAX],
        file=row.file or None,
        line=row.line,
    )
