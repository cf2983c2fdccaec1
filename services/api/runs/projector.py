"""Folds run-status facts into runs, as many in one transaction as have come.

The facts, the marks that they were taken in, and what follows from them (queued runs start) commit together. What if
the process stops right before the commit? Nothing happened, and the messages come again. Right after? They come again
too, and the inbox knows them.
"""

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from libs.common import metrics
from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import RunFact
from libs.common.errors import Permanent
from libs.common.logs import get_logger
from libs.common.messaging.together import Together
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.runs.folding import Ended, fold
from services.api.runs.projection import new_events

CONSUMER = "api-projector"
AT_ONCE = 500
"""Facts in one transaction, at most: enough to make its round trips cheap, and a tenth of a second of work."""
_log = get_logger(__name__)


class Projector:
    """Handles every message of the run-status topic. ``changed`` is told which runs a transaction may have changed,
    after its commit."""

    def __init__(self, database: Database, outbox: Outbox, changed: Callable[[Collection[UUID]], None]) -> None:
        self._database = database
        self._outbox = outbox
        self._changed = changed
        self._together = Together[Envelope, None](self._fold, at_most=AT_ONCE)

    async def handle(self, envelope: Envelope) -> None:
        """Folds one fact in. The same event twice changes nothing.

        Raises:
            Permanent: code ``unknown_run``, or ``not_a_run_fact``.
            Temporary: code ``database_unavailable``.
        """
        if not isinstance(envelope.message, RunFact):
            raise Permanent(f"{envelope.message.wire_type} is no fact of a run", code="not_a_run_fact")
        await self._together(envelope)

    async def _fold(self, envelopes: Sequence[Envelope]) -> Sequence[None]:
        facts = {envelope.event_id: envelope.message for envelope in envelopes}
        async with self._database.begin() as connection:
            new = await new_events(connection, CONSUMER, facts.keys())
            unheard = [fact for event_id, fact in facts.items() if event_id in new and isinstance(fact, RunFact)]
            ended = await fold(connection, self._outbox, unheard) if unheard else []
        self._changed({fact.run_id for fact in unheard}.union(*(each.started for each in ended)))
        for each in ended:
            _tell(each)
        return [None] * len(envelopes)


def _tell(ended: Ended) -> None:
    """After the commit: the run's last line in the log, and its metric."""
    totals = ended.run.totals
    metrics.RUNS.labels(status=ended.run.status.value).inc()
    _log.info(
        "run.ended",
        run_id=str(ended.run_id),
        ingestion_id=str(ended.ingestion_id),
        status=ended.run.status.value,
        files=totals.files_done,
        records=totals.records_ingested,
    )
    for run_id in ended.started:
        _log.info("run.dispatched", run_id=str(run_id), ingestion_id=str(ended.ingestion_id))
