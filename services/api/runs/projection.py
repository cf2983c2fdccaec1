"""Between rows of runs and the folded ``Run``: read, written and added to, many at a time. Statements only."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Row,
    Text,
    Uuid,
    and_,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem, Totals
from libs.common.errors import Permanent
from libs.common.ledger.arrays import Columns, rows_of
from libs.common.ledger.tables import storable
from libs.common.lifecycle.run import FINAL, Run, RunStatus
from libs.common.storage.control import inbox, ingestion, run, run_error


@dataclass(frozen=True, slots=True)
class Change:
    """A run whose row is locked, before and after what became known of it."""

    row: Row[Any]
    before: Run
    after: Run
    at: datetime
    """When its newest fact occurred."""

    @property
    def more_warnings(self) -> list[str]:
        """As they are stored, behind those of before."""
        return [storable(text) for text in sorted(self.after.warnings - self.before.warnings)]

    @property
    def has_ended(self) -> bool:
        """By this change, and not before."""
        return self.before.status not in FINAL and self.after.status in FINAL


async def new_events(connection: AsyncConnection, consumer: str, event_ids: Collection[UUID]) -> set[UUID]:
    """Marks them as taken in; returns those that had not been."""
    # In order, so that two who mark the same ones wait for each other, and never both.
    events = select(literal(consumer), func.unnest(literal(sorted(event_ids), ARRAY(Uuid))))
    marked = insert(inbox).from_select(["consumer", "event_id"], events).on_conflict_do_nothing()
    return set(await connection.scalars(marked.returning(inbox.c.event_id)))


async def lock_ingestions_of(connection: AsyncConnection, run_ids: Collection[UUID]) -> None:
    """Those of these runs, in the order of their ids: whoever locks several does so, and none waits for ever."""
    of_runs = select(run.c.ingestion_id).where(among(run.c.id, run_ids))
    query = select(ingestion.c.id).where(ingestion.c.id.in_(of_runs)).order_by(ingestion.c.id)
    await connection.execute(query.with_for_update(key_share=True))


async def lock(connection: AsyncConnection, run_ids: Collection[UUID]) -> dict[UUID, Row[Any]]:
    """These runs, locked in the order of their ids.

    Raises:
        Permanent: code ``unknown_run``.
    """
    query = select(run).where(among(run.c.id, run_ids)).order_by(run.c.id).with_for_update()
    rows = {row.id: row for row in await connection.execute(query)}
    for run_id in run_ids:
        if run_id not in rows:
            hint = "is the database the right one?"
            raise Permanent(f"nobody asked for run {run_id}", code="unknown_run", hint=hint)
    return rows


def folded(row: Row[Any]) -> Run:
    """The run of a row. Problems are not loaded: they only ever grow, row by row."""
    return Run(
        status=RunStatus(row.status),
        seq=row.seq,
        totals=Totals.model_validate(row.totals),
        started_at=row.started_at,
        ended_at=row.ended_at,
        snapshots=frozenset(row.snapshots),
        warnings=frozenset(row.warnings),
    )


_CHANGED: Columns = {
    "run_id": Uuid(),
    "was_final": Boolean(),
    "status": Text(),
    "seq": Integer(),
    "totals": Text(),
    "snapshots": Text(),
    "warnings": Text(),
    "started_at": DateTime(timezone=True),
    "ended_at": DateTime(timezone=True),
}
"""Of a run that changes. Lists are texts: arrays of arrays would all have to be equally long."""


async def store(connection: AsyncConnection, changes: Sequence[Change]) -> None:
    """Writes what changed, each under the next revision of its run."""
    new = rows_of("new", _CHANGED, map(_changed, changes))
    more_warnings = select(func.jsonb_array_elements_text(cast(new.c.warnings, JSONB))).correlate(new)
    # The guard repeats what ``advance`` decided: seq never falls, final stays final.
    stored = (
        update(run)
        .where(run.c.id == new.c.run_id, run.c.seq <= new.c.seq)
        .where(or_(new.c.was_final, and_(*(run.c.status != status.value for status in sorted(FINAL)))))
        .values(
            status=new.c.status,
            seq=new.c.seq,
            totals=cast(new.c.totals, JSONB),
            # What was published first stays first.
            snapshots=func.array_cat(
                run.c.snapshots, cast(func.string_to_array(new.c.snapshots, ","), run.c.snapshots.type)
            ),
            warnings=func.array_cat(run.c.warnings, func.array(more_warnings.scalar_subquery())),
            started_at=new.c.started_at,
            ended_at=new.c.ended_at,
            revision=run.c.revision + 1,
        )
    )
    await connection.execute(stored)
    found = [(c.row.id, problem, c.at) for c in changes for problem in c.after.problems - c.before.problems]
    await _add_problems(connection, found)


def _changed(change: Change) -> tuple[Any, ...]:
    """The values of ``_CHANGED``."""
    after = change.after
    return (
        change.row.id,
        change.before.status in FINAL,
        after.status.value,
        after.seq,
        after.totals.model_dump_json(),
        ",".join(map(str, sorted(after.snapshots - change.before.snapshots))),
        json.dumps(change.more_warnings),
        after.started_at,
        after.ended_at,
    )


async def add_details(
    connection: AsyncConnection, run_id: UUID, snapshots: Iterable[int], problems: Iterable[Problem], at: datetime
) -> None:
    """Snapshots and problems that are known from the ledger. The caller holds the run's lock."""
    known = await connection.scalar(select(run.c.snapshots).where(run.c.id == run_id))
    new = [snapshot for snapshot in snapshots if snapshot not in (known or ())]
    grown = func.array_cat(run.c.snapshots, literal(new, run.c.snapshots.type))
    await connection.execute(update(run).where(run.c.id == run_id).values(snapshots=grown))
    await _add_problems(connection, [(run_id, problem, at) for problem in problems])


async def with_followers(connection: AsyncConnection, ingestion_ids: Collection[UUID]) -> set[UUID]:
    """Those of these ingestions for which the end of a run may begin something: a run waits behind it, or a table is
    built aside."""
    waits = exists().where(
        run.c.ingestion_id == ingestion.c.id, run.c.ended_at.is_(None), run.c.dispatched_at.is_(None)
    )
    query = select(ingestion.c.id).where(
        among(ingestion.c.id, ingestion_ids), or_(ingestion.c.building.is_not(None), waits)
    )
    return set(await connection.scalars(query))


async def _add_problems(connection: AsyncConnection, found: Iterable[tuple[UUID, Problem, datetime]]) -> None:
    rows = [
        {
            "run_id": run_id,
            "error_type": storable(problem.error_type),
            "message": storable(problem.message),
            "hint": storable(problem.hint),
            "file": storable(problem.file or ""),
            "line": problem.line,
            "occurred_at": at,
        }
        for run_id, problem, at in found
    ]
    if rows:
        await connection.execute(insert(run_error).on_conflict_do_nothing(), rows)


def among(column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """One parameter, however many values: the statement is prepared once."""
    return column == func.any(literal(list(values), ARRAY(column.type)))
