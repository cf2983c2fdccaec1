"""Looking at runs, and cancelling them. ``requests.py`` asks for them."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import Clock, utc_now
from libs.common.errors import Conflict
from libs.common.failpoints import failpoint
from libs.common.ids import IngestionId, RunId
from libs.common.ledger.cancellations import CANCELLED, cancel_run, ended_scan
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.costs.model import Prices, Speed
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.runs import projection, repository
from services.api.runs.folding import fold
from services.api.runs.live import Mark, Sight
from services.api.runs.schemas import RunCancelled, RunOut
from services.api.runs.states import tell_state
from services.api.runs.upkeep import completion_of
from services.api.runs.views import RunViews


class Relay(Protocol):
    """What answers tell of the outbox relay: why it cannot send, or None."""

    problem: str | None


class Runs:
    """The runs of all tenants; every call sees those of its caller only. ``speed`` and ``prices`` say what a run that
    was planned came to."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        relay: Relay,
        *,
        topic_prefix: str,
        broker: str,
        speed: Speed,
        prices: Prices,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._relay = relay
        self._topic_prefix = topic_prefix
        self._broker = broker
        self._speed = speed
        self._prices = prices
        self._clock = clock

    async def cancel(self, caller: Caller, ingestion_id: UUID, run_id: UUID, once: Once | None) -> Answer:
        """202 with the run as it is. From now on nothing more of it is planned and no publish begins; it ends as
        ``cancelled`` when its batches have: at once, unless an executor has to ask the table what became of one. What
        it loaded before stays; its other files wait for the next run. Cancelled before: nothing changes.

        Raises:
            NotFound: the ingestion, or the run. Conflict: code ``run_over``. Invalid: code
                ``idempotency_key_reused``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(
                connection, caller, once, lambda: self._cancel(connection, caller, ingestion_id, run_id)
            )
        failpoint("api.after_tx")
        return answer

    async def _cancel(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, run_id: UUID) -> Answer:
        await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        row = await repository.get(connection, ingestion_id, run_id)
        if row.cancel_requested_at is None:
            of = RunId(run_id), IngestionId(ingestion_id), int(row.generation)
            if row.ended_at is not None or not await cancel_run(connection, self._outbox, *of):
                raise Conflict(
                    f"run {run_id} is over",
                    code="run_over",
                    hint=f"GET /api/v1/ingestions/{ingestion_id}/runs/{run_id} says how it ended",
                )
            await audit.record(connection, caller, "run.cancelled", ingestion_id, details={"run_id": str(run_id)})
        at = await repository.mark_cancelled(connection, run_id)
        # If it ended at once, nobody shall join it any more: its last message may take long to come.
        ended = await ended_scan(connection, run_id)
        if ended is None:
            await tell_state(connection, self._outbox, run_id)
        else:
            await projection.add_details(connection, run_id, (), (CANCELLED,), ended["ended_at"])
            await fold(connection, self._outbox, [completion_of(ended)])
        status = (await repository.get(connection, ingestion_id, run_id)).status
        shown = RunCancelled(run_id=run_id, status=status, cancel_requested_at=at)
        return Answer(202, shown.model_dump(mode="json"))

    async def get(self, caller: Caller, ingestion_id: UUID, run_id: UUID) -> RunOut:
        """
        Raises:
            NotFound: the ingestion, or the run.
        """
        async with self._database.read() as connection:
            return await self._views(connection).one(caller.tenant_id, ingestion_id, run_id)

    async def page(self, caller: Caller, ingestion_id: UUID, page: Page) -> tuple[list[RunOut], int]:
        """
        Raises:
            NotFound: the ingestion.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            return await self._views(connection).page(ingestion_id, page)

    async def sight(self, caller: Caller, ingestion_id: UUID, run_id: UUID) -> Sight:
        """The run as ``get`` returns it, for one who will follow it.

        Raises:
            NotFound: the ingestion, or the run.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            return await self._views(connection).sight(ingestion_id, run_id)

    async def changed(self, known: Mapping[UUID, Mark]) -> Mapping[UUID, Sight]:
        """Of these runs, whoever's they are, those that changed."""
        async with self._database.read() as connection:
            return await self._views(connection).changed(known)

    def _views(self, connection: AsyncConnection) -> RunViews:
        trouble = self._relay.problem
        problem = f"Kafka at {self._broker} does not take the request ({trouble})" if trouble else None
        return RunViews(
            connection,
            topic_prefix=self._topic_prefix,
            now=self._clock(),
            problem=problem,
            speed=self._speed,
            prices=self._prices,
        )
