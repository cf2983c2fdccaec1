"""How a run begins to be: what decides whether it may, and how it is stored and told.

Statements only, built once: building one costs the API as much as executing it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Row, and_, bindparam, case, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.built_aside import definition_of_now
from libs.common.contracts.events import Message, RunRequested, RunState, Totals
from libs.common.contracts.scope import LANES, Lane, Scope
from libs.common.contracts.topics import REQUESTS_OF, RUN_STATE, Topic
from libs.common.ids import new_run_id
from libs.common.ledger.tables import ingestion as ledger_ingestion
from libs.common.lifecycle.run import RunStatus
from libs.common.storage.control import ingestion, refresh, run
from libs.common.storage.outbox import ENQUEUED, Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.idempotency import Answer
from services.api.runs.schemas import RunAccepted
from services.api.runs.states import table_of

FIRST_REVISION = 1
"""Of the state of a run that begins to be: it is told with it."""

_NEW = (
    "id", "ingestion_id", "tenant_id", "generation", "trigger", "lane", "scope", "retry_of", "predicted", "tick_at",
    "definition_version", "definition", "revision",
)  # fmt: skip
_STORE = (
    run.insert()
    .values({column: bindparam(f"new_{column}", type_=run.c[column].type) for column in _NEW})
    .values(dispatched_at=case((bindparam("is_sent", type_=Boolean), func.now())))
    .add_cte(ENQUEUED)
)
_STORE_AND_RECORD = _STORE.add_cte(audit.RECORDED)
# A row for each run that is not over; one without a run if there is none.
_STANDING = (
    select(
        exists()
        .where(ledger_ingestion.c.ingestion_id == ingestion.c.id, ledger_ingestion.c.halt_code.is_not(None))
        .label("is_halted"),
        exists().where(refresh.c.ingestion_id == ingestion.c.id, refresh.c.ended_at.is_(None)).label("is_refreshing"),
        run.c.id,
        run.c.lane,
        run.c.dispatched_at,
        func.now().label("now"),
    )
    .select_from(ingestion.outerjoin(run, and_(run.c.ingestion_id == ingestion.c.id, run.c.ended_at.is_(None))))
    .where(ingestion.c.id == bindparam("ingestion_id"))
)


@dataclass(frozen=True, slots=True)
class NewRun:
    """What distinguishes one request from another: why it was made, what of the source is read, what somebody was told
    that this will come to, and the tick of the schedule that it is for."""

    trigger: str
    lane: Lane = "fresh"
    scope: Scope | None = None
    retry_of: UUID | None = None
    predicted: dict[str, Any] | None = None
    tick_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InLane:
    """The runs of a lane that are not over."""

    active: UUID | None = None
    queued: UUID | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides whether a run of an ingestion may begin."""

    is_halted: bool
    is_refreshing: bool
    lanes: Mapping[Lane, InLane]
    now: datetime
    """The transaction's time."""


async def standing_of(connection: AsyncConnection, ingestion_id: UUID) -> Standing:
    """The caller holds the ingestion's lock, and has taken it in a statement before: what one statement locks and asks,
    it may have asked before it got the lock."""
    rows = (await connection.execute(_STANDING, {"ingestion_id": ingestion_id})).all()
    lanes = {lane: _in_lane([row for row in rows if row.lane == lane]) for lane in LANES}
    return Standing(rows[0].is_halted, rows[0].is_refreshing, lanes, rows[0].now)


def _in_lane(rows: Sequence[Any]) -> InLane:
    """Indexes see to it that there is one of each at most."""
    return InLane(
        active=next((row.id for row in rows if row.dispatched_at is not None), None),
        queued=next((row.id for row in rows if row.dispatched_at is None), None),
    )


@dataclass(frozen=True, slots=True)
class Born:
    """Which run it is, of what, and the table that it loads."""

    run_id: UUID
    ingestion_id: UUID
    tenant_id: str
    generation: int
    table: str


def told(born: Born, new: NewRun, *, is_sent: bool, now: datetime) -> list[tuple[Topic, Message]]:
    """What is announced of a run that begins to be: its state, and the request for a scanner if it is sent off."""
    state = RunState(
        run_id=born.run_id,
        ingestion_id=born.ingestion_id,
        tenant_id=born.tenant_id,
        generation=born.generation,
        revision=FIRST_REVISION,
        seq=0,
        status=RunStatus.ACCEPTED,
        queued=not is_sent,
        trigger=new.trigger,
        lane=new.lane,
        table=born.table,
        created_at=now,
        retry_of=new.retry_of,
        totals=Totals(),
    )
    if not is_sent:
        return [(RUN_STATE, state)]
    request = RunRequested(
        run_id=born.run_id,
        ingestion_id=born.ingestion_id,
        generation=born.generation,
        tenant_id=born.tenant_id,
        trigger=new.trigger,
    )
    return [(RUN_STATE, state), (REQUESTS_OF[new.lane], request)]


def requested(by: Caller, born: Born, new: NewRun) -> audit.Entry:
    """What the audit trail says of a run that somebody asked for."""
    details = {"run_id": str(born.run_id), "trigger": new.trigger}
    return audit.Entry(by, "run.requested", born.ingestion_id, details=details)


async def store_new(
    connection: AsyncConnection,
    outbox: Outbox,
    of: Row[Any],
    new: NewRun,
    *,
    is_sent: bool,
    now: datetime,
    requested_by: Caller | None = None,
) -> UUID:
    """A run of the ingestion row ``of``, with its definition frozen: while a refresh builds a table aside, the run
    loads that one. It is told, a scanner is woken for it if it is sent off, and it stands in the audit trail if
    somebody requested it; all in one statement. ``now`` is the transaction's time. Returns its id."""
    run_id = new_run_id()
    definition = definition_of_now(of.definition, of.building)
    row = {
        "new_id": run_id,
        "new_ingestion_id": of.id,
        "new_tenant_id": of.tenant_id,
        "new_generation": of.generation,
        "new_trigger": new.trigger,
        "new_lane": new.lane,
        "new_scope": None if new.scope is None else new.scope.model_dump(mode="json", exclude_defaults=True),
        "new_retry_of": new.retry_of,
        "new_predicted": new.predicted,
        "new_tick_at": new.tick_at,
        "new_definition_version": of.definition_version,
        "new_definition": definition,
        "new_revision": FIRST_REVISION,
        "is_sent": is_sent,
    }
    born = Born(run_id, of.id, of.tenant_id, of.generation, table_of(definition))
    row |= outbox.along(connection, told(born, new, is_sent=is_sent, now=now))
    if requested_by is None:
        await connection.execute(_STORE, row)
    else:
        row |= audit.along([requested(requested_by, born, new)])
        await connection.execute(_STORE_AND_RECORD, row)
    return run_id


def answer_of(run_id: UUID, *, queued: bool) -> Answer:
    """To whoever asked for it."""
    return Answer(202, RunAccepted(run_id=run_id, queued=queued).model_dump(mode="json"))
