"""Folds run-status facts into runs, one transaction per fact.

The fact, the mark that it was taken in, and what follows from it (the queued run starts) commit together. What if
the process stops right before the commit? Nothing happened, and the message comes again. Right after? It comes
again too, and the inbox knows it.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common import metrics
from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import RunCompleted, RunFact
from libs.common.errors import Permanent
from libs.common.lifecycle.run import FINAL, Run, RunStatus, advance
from libs.common.logs import get_logger
from libs.common.storage.control import inbox
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.refresh.completion import replace_when_built
from services.api.runs import repository
from services.api.runs.states import tell_state
from services.api.webhooks.announcing import announce_fact

CONSUMER = "api-projector"
_log = get_logger(__name__)


class Projector:
    """Handles every message of the run-status topic."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def handle(self, envelope: Envelope) -> None:
        """Folds one fact in. The same event twice changes nothing.

        Raises:
            Permanent: code ``unknown_run``, or ``not_a_run_fact``.
            Temporary: code ``database_unavailable``.
        """
        fact = envelope.message
        if not isinstance(fact, RunFact):
            raise Permanent(f"{fact.wire_type} is no fact of a run", code="not_a_run_fact")
        async with self._database.begin() as connection:
            if not await _is_new(connection, envelope.event_id):
                return
            ended, dispatched = await fold(connection, self._outbox, fact)
        _tell(ended, dispatched, fact)


async def fold(connection: AsyncConnection, outbox: Outbox, fact: RunFact) -> tuple[Run | None, list[UUID]]:
    """``advance`` on the stored run, in the transaction of ``connection``.

    Returns the run if this fact ended it, and the queued runs that start because of it.

    Raises:
        Permanent: code ``unknown_run``.
    """
    ingestion_id = await repository.ingestion_of(connection, fact.run_id)
    if ingestion_id is None:
        raise Permanent(
            f"nobody asked for run {fact.run_id}", code="unknown_run", hint="is the database the right one?"
        )
    if isinstance(fact, RunCompleted):
        # First the ingestion, then the run, as everybody: a request that comes now sees the run either active,
        # and queues behind it before we look for queued runs, or ended.
        await repository.lock_ingestion(connection, ingestion_id)
    before = await repository.load(connection, fact.run_id)
    after = advance(before, fact)
    if after != before:
        await repository.store(connection, fact.run_id, before, after, fact.occurred_at)
        await announce_fact(connection, fact, await tell_state(connection, outbox, fact.run_id))
    if before.status in FINAL or after.status not in FINAL:
        return None, []
    if after.status is RunStatus.SUCCESS:
        await replace_when_built(connection, outbox, ingestion_id)
    return after, await repository.dispatch_queued(connection, outbox, ingestion_id)


def _tell(ended: Run | None, dispatched: Sequence[UUID], fact: RunFact) -> None:
    """After the commit: the run's last line in the log, and its metric."""
    if ended is not None:
        metrics.RUNS.labels(status=ended.status.value).inc()
        _log.info(
            "run.ended",
            run_id=str(fact.run_id),
            ingestion_id=str(fact.ingestion_id),
            status=ended.status.value,
            files=ended.totals.files_done,
            records=ended.totals.records_ingested,
        )
    for run_id in dispatched:
        _log.info("run.dispatched", run_id=str(run_id), ingestion_id=str(fact.ingestion_id))


async def _is_new(connection: AsyncConnection, event_id: UUID) -> bool:
    statement = insert(inbox).values(consumer=CONSUMER, event_id=event_id).on_conflict_do_nothing()
    return (await connection.execute(statement.returning(inbox.c.event_id))).first() is not None
