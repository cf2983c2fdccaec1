"""Statements about many plain requests for runs at once: few, however many they are. ``plain.py`` decides.

None of them waits for a lock that another transaction has, so those who hold up one request hold up no other, and
transactions of many requests cannot wait for each other for ever, in whatever order they come.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, Uuid, exists, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.arrays import Columns, arrays_of, given_rows
from libs.common.ledger.tables import ingestion as ledger_ingestion
from libs.common.storage.control import ingestion, refresh, run
from libs.common.storage.outbox import ENQUEUED, Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.idempotency import Answer, Once, keep, may_take
from services.api.runs.beginning import FIRST_REVISION, Born, NewRun, requested, told

_PLAIN = NewRun("manual")
_ASKED: Columns = {"ingestion_id": Uuid(), "tenant_id": Text(), "key": Text()}
_NEW: Columns = {"run_id": Uuid(), "ingestion_id": Uuid()}
_HELD: Columns = {"ingestion_id": Uuid()}
_asked = given_rows("asked", _ASKED)
_held = given_rows("held", _HELD)
_new = given_rows("new", _NEW)
_destination = ingestion.c.definition["destination"]
# As every request for a run locks its ingestion, but who is locked is left out. Definitions stay where they are.
_LOCK = (
    select(
        ingestion.c.id,
        ingestion.c.tenant_id,
        ingestion.c.generation,
        ingestion.c.definition["cluster_id"].astext.label("cluster_id"),
        func.concat_ws(".", *(_destination[part].astext for part in ("catalog", "database", "table"))).label("table"),
        may_take(_asked.c.tenant_id, _asked.c.key).label("has_key"),
    )
    .join_from(_asked, ingestion, ingestion.c.id == _asked.c.ingestion_id)
    .where(
        ingestion.c.tenant_id == _asked.c.tenant_id,
        ingestion.c.deleted_at.is_(None),
        ingestion.c.status != "paused",
        ingestion.c.building.is_(None),
    )
    .with_for_update(key_share=True, skip_locked=True, of=ingestion)
)
_unfinished = exists().where(
    run.c.ingestion_id == _held.c.ingestion_id, run.c.lane == _PLAIN.lane, run.c.ended_at.is_(None)
)
_FREE = select(_held.c.ingestion_id, func.now().label("now")).where(
    ~exists().where(ledger_ingestion.c.ingestion_id == _held.c.ingestion_id, ledger_ingestion.c.halt_code.is_not(None)),
    ~exists().where(refresh.c.ingestion_id == _held.c.ingestion_id, refresh.c.ended_at.is_(None)),
    # The active one and the one that waits, each by its index: an ingestion may have had thousands of runs.
    ~_unfinished.where(run.c.dispatched_at.is_not(None)),
    ~_unfinished.where(run.c.dispatched_at.is_(None)),
)
_STORE = (
    run.insert()
    .from_select(
        [
            "id", "ingestion_id", "tenant_id", "generation", "trigger", "lane", "definition_version", "definition",
            "dispatched_at", "revision",
        ],
        select(
            _new.c.run_id, ingestion.c.id, ingestion.c.tenant_id, ingestion.c.generation, literal(_PLAIN.trigger),
            literal(_PLAIN.lane), ingestion.c.definition_version, ingestion.c.definition, func.now(),
            literal(FIRST_REVISION),
        ).join_from(_new, ingestion, ingestion.c.id == _new.c.ingestion_id),
    )
    .add_cte(ENQUEUED, audit.RECORDED)
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A plain request: for a run of all that is new. Two that say the same are two."""

    caller: Caller
    ingestion_id: UUID
    once: Once | None


@dataclass(frozen=True, slots=True)
class Begun:
    """What comes of a request that gets a run of its own, which begins at once. ``now`` is the transaction's time."""

    asked: Asked
    born: Born
    now: datetime
    answer: Answer


async def lock(connection: AsyncConnection, asked: Sequence[Asked]) -> dict[UUID, Row[Any]]:
    """What is needed of the ingestions, by their ids, locked until the transaction ends. Absent are those that are not
    there for the caller, that something is unusual about, or that another transaction has locked. ``has_key``: the
    request's key is locked as well, if it has one.

    There is one request at most of each ingestion.
    """
    rows = [(one.ingestion_id, one.caller.tenant_id, one.once and one.once.key) for one in asked]
    return {row.id: row for row in await connection.execute(_LOCK, arrays_of("asked", _ASKED, rows))}


async def free_among(connection: AsyncConnection, held: Collection[UUID]) -> Mapping[UUID, datetime]:
    """Those of the ingestions whose next run may begin now, with the transaction's time. They are locked, by a
    statement before this one: what one statement locks and asks, it may have asked before it got the lock."""
    found = await connection.execute(_FREE, arrays_of("held", _HELD, [(each,) for each in held]))
    return {row.ingestion_id: row.now for row in found}


async def answer_once(connection: AsyncConnection, begun: Sequence[Begun]) -> Sequence[Begun]:
    """Stores the answers under the requests' keys. Without those whose keys had been used before."""
    answers = [(each.born.tenant_id, each.asked.once, each.answer) for each in begun if each.asked.once is not None]
    kept = await keep(connection, answers)
    return [each for each in begun if each.asked.once is None or (each.born.tenant_id, each.asked.once.key) in kept]


async def store(connection: AsyncConnection, outbox: Outbox, begun: Sequence[Begun]) -> None:
    """The runs, with what is announced of them, and their entries in the audit trail."""
    runs = arrays_of("new", _NEW, [(each.born.run_id, each.born.ingestion_id) for each in begun])
    messages = [message for each in begun for message in told(each.born, _PLAIN, is_sent=True, now=each.now)]
    entries = [requested(each.asked.caller, each.born, _PLAIN) for each in begun]
    await connection.execute(_STORE, runs | outbox.along(connection, messages) | audit.along(entries))
