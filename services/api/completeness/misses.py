"""Rows of rules about files that should come, and of periods in which they did not. Statements only."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.completeness.expected import Period
from libs.common.contracts.expected import ExpectedArrival
from libs.common.storage.control import expected_rule, ingestion, missed_arrival, secret

LOOKED_FOR = timedelta(days=30)
"""How long files that did not come are looked for."""

_SOURCE = (ingestion.c.id, ingestion.c.tenant_id, ingestion.c.definition, secret.c.sealed)
_WITH_SECRET = ingestion.outerjoin(secret, secret.c.ingestion_id == ingestion.c.id)


async def with_rules(connection: AsyncConnection) -> Sequence[Any]:
    """The ingestions that expect files."""
    rules = ingestion.c.definition["quality"]["expected_arrivals"]
    # Definitions from before there were such rules have none at all.
    how_many = case((func.jsonb_typeof(rules) == "array", func.jsonb_array_length(rules)), else_=0)
    query = select(*_SOURCE).select_from(_WITH_SECRET).where(ingestion.c.deleted_at.is_(None), how_many > 0)
    return (await connection.execute(query)).all()


async def cursor(connection: AsyncConnection, ingestion_id: UUID, rule: str, first: datetime) -> datetime:
    """Until when the rule was judged; ``first`` if it is new."""
    statement = insert(expected_rule).values(ingestion_id=ingestion_id, rule=rule, judged_until=first)
    await connection.execute(statement.on_conflict_do_nothing())
    query = select(expected_rule.c.judged_until).where(*_of(ingestion_id, rule))
    at: datetime = (await connection.execute(query)).scalar_one()
    return at


async def judge(connection: AsyncConnection, ingestion_id: UUID, rule: str, until: datetime) -> bool:
    """Moves the cursor on. False: another process was there first."""
    moved = await connection.execute(
        update(expected_rule)
        .where(*_of(ingestion_id, rule), expected_rule.c.judged_until < until)
        .values(judged_until=until)
    )
    return moved.rowcount == 1


async def miss(
    connection: AsyncConnection, ingestion_id: UUID, rule: ExpectedArrival, period: Period, keys: str, found: int
) -> datetime:
    """Remembers a period whose files did not come; since when it is known."""
    at: datetime | None = await connection.scalar(
        missed_arrival.insert()
        .values(
            ingestion_id=ingestion_id,
            rule=rule.name,
            begins=period.begins,
            ends=period.ends,
            pattern=keys,
            at_least=rule.at_least,
            found=found,
        )
        .returning(missed_arrival.c.missed_at)
    )
    assert at is not None
    return at


async def take_to_look(connection: AsyncConnection, every: timedelta, limit: int) -> Sequence[Row[Any]]:
    """Missed periods that nobody has looked at for so long, with their ingestions; the caller looks."""
    now = func.clock_timestamp()
    some = (
        select(missed_arrival.c.ingestion_id, missed_arrival.c.rule, missed_arrival.c.begins)
        .where(
            missed_arrival.c.arrived_at.is_(None),
            missed_arrival.c.missed_at > now - LOOKED_FOR,
            or_(missed_arrival.c.looked_at.is_(None), missed_arrival.c.looked_at < now - every),
        )
        .order_by(missed_arrival.c.looked_at.nulls_first())
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("some")
    )
    taken = (
        update(missed_arrival)
        .where(
            missed_arrival.c.ingestion_id == some.c.ingestion_id,
            missed_arrival.c.rule == some.c.rule,
            missed_arrival.c.begins == some.c.begins,
        )
        .values(looked_at=now)
        .returning(missed_arrival)
        .cte("taken")
    )
    query = select(taken, *_SOURCE[1:]).select_from(
        taken.join(ingestion, ingestion.c.id == taken.c.ingestion_id).outerjoin(
            secret, secret.c.ingestion_id == ingestion.c.id
        )
    )
    return (await connection.execute(query.where(ingestion.c.deleted_at.is_(None)))).all()


async def arrive(connection: AsyncConnection, of: Row[Any], found: int) -> datetime | None:
    """The files of a missed period are there; since when that is known, or None if it was known."""
    at: datetime | None = await connection.scalar(
        update(missed_arrival)
        .where(
            missed_arrival.c.ingestion_id == of.ingestion_id,
            missed_arrival.c.rule == of.rule,
            missed_arrival.c.begins == of.begins,
            missed_arrival.c.arrived_at.is_(None),
        )
        .values(arrived_at=func.clock_timestamp(), found=found)
        .returning(missed_arrival.c.arrived_at)
    )
    return at


async def newest(connection: AsyncConnection, ingestion_id: UUID, limit: int) -> Sequence[Row[Any]]:
    """The periods of an ingestion that were missed, those first whose files are missing still."""
    query = (
        select(missed_arrival)
        .where(missed_arrival.c.ingestion_id == ingestion_id)
        .order_by(missed_arrival.c.arrived_at.is_not(None), missed_arrival.c.begins.desc(), missed_arrival.c.rule)
        .limit(limit)
    )
    return (await connection.execute(query)).all()


def _of(ingestion_id: UUID, rule: str) -> tuple[Any, Any]:
    return expected_rule.c.ingestion_id == ingestion_id, expected_rule.c.rule == rule
