"""Asking for runs, and looking at them."""

from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import Clock, utc_now
from libs.common.errors import Conflict
from libs.common.failpoints import failpoint
from libs.common.ids import new_run_id
from libs.common.ledger.ingestions import halt_of
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.refresh import repository as refreshes
from services.api.runs import repository
from services.api.runs.schemas import RunAccepted, RunOut
from services.api.runs.views import RunViews


class Relay(Protocol):
    """What answers tell of the outbox relay: why it cannot send, or None."""

    problem: str | None


class Runs:
    """The runs of all tenants; every call sees those of its caller only."""

    def __init__(
        self,
        database: Database,
        clusters: Clusters,
        outbox: Outbox,
        relay: Relay,
        *,
        topic_prefix: str,
        broker: str,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._outbox = outbox
        self._relay = relay
        self._topic_prefix = topic_prefix
        self._broker = broker
        self._clock = clock

    async def request(self, caller: Caller, ingestion_id: UUID, once: Once | None) -> Answer:
        """202 with the run that will do it: a new one, or the one that waits already.

        One run of an ingestion is active and one waits at most: whatever a third would find, the waiting one finds.

        Raises:
            NotFound: the ingestion. Conflict: codes ``ingestion_halted``, ``refresh_active``. Invalid: codes
                ``unknown_cluster``, ``idempotency_key_reused``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(
                connection, caller, once, lambda: self._request(connection, caller, ingestion_id)
            )
        failpoint("api.after_tx")
        # What if the process stops right here? The outbox row is committed: the next relay sends it.
        return answer

    async def _request(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID) -> Answer:
        wanted = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        self._clusters.url_of(wanted.definition["cluster_id"])
        if (halt := await halt_of(connection, ingestion_id)) is not None:
            raise Conflict(f"this ingestion is halted: {halt.message}", code="ingestion_halted", hint=halt.hint)
        await refreshes.refuse_while_under_way(connection, ingestion_id)
        active, queued = await repository.unfinished(connection, ingestion_id)
        if queued is not None:
            return _accepted(queued, queued=True)
        run_id = new_run_id()
        await repository.insert_run(connection, run_id=run_id, of=wanted, trigger="manual", dispatch=active is None)
        if active is None:
            await repository.announce(connection, self._outbox, run_id)
        details = {"run_id": str(run_id), "trigger": "manual"}
        await audit.record(connection, caller, "run.requested", ingestion_id, details=details)
        return _accepted(run_id, queued=active is not None)

    async def get(self, caller: Caller, ingestion_id: UUID, run_id: UUID) -> RunOut:
        """
        Raises:
            NotFound: the ingestion, or the run.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            return await self._views(connection).one(ingestion_id, run_id)

    async def page(self, caller: Caller, ingestion_id: UUID, page: Page) -> tuple[list[RunOut], int]:
        """
        Raises:
            NotFound: the ingestion.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            return await self._views(connection).page(ingestion_id, page)

    def _views(self, connection: AsyncConnection) -> RunViews:
        trouble = self._relay.problem
        problem = f"Kafka at {self._broker} does not take the request ({trouble})" if trouble else None
        return RunViews(connection, topic_prefix=self._topic_prefix, now=self._clock(), problem=problem)


def _accepted(run_id: UUID, *, queued: bool) -> Answer:
    return Answer(202, RunAccepted(run_id=run_id, queued=queued).model_dump(mode="json"))
