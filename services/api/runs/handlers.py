"""Asking for runs, and looking at them."""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import Clock, utc_now
from libs.common.errors import Conflict
from libs.common.failpoints import failpoint
from libs.common.ids import IngestionId, RunId, new_run_id
from libs.common.ledger.cancellations import CANCELLED, cancel_run, ended_scan
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
from services.api.runs.live import Mark, Sight
from services.api.runs.projector import fold
from services.api.runs.schemas import RunAccepted, RunCancelled, RunOut
from services.api.runs.upkeep import completion_of
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
            NotFound: the ingestion. Conflict: codes ``ingestion_halted``, ``ingestion_paused``, ``refresh_active``;
                ``run_queued`` if the one that waits is a retry. Invalid: codes ``unknown_cluster``,
                ``idempotency_key_reused``.
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
        wanted = await self._ready(connection, caller, ingestion_id)
        active, queued = await repository.unfinished(connection, ingestion_id)
        if queued is not None:
            if (await repository.get(connection, ingestion_id, queued)).retry_of is not None:
                raise _run_queued(ingestion_id, queued, "is a retry, which reads nothing new, and waits for its turn")
            return _accepted(queued, queued=True)
        return await self._store(connection, caller, wanted, trigger="manual", is_first=active is None)

    async def retry(self, caller: Caller, ingestion_id: UUID, run_id: UUID, once: Once | None) -> Answer:
        """202 with a new run that reads only what failed in this one, in whatever version it is there now, and what
        this one gave up. It uses the definition as it is now.

        Raises:
            NotFound: the ingestion, or the run. Conflict: codes ``run_active``, ``nothing_to_retry``, ``run_queued``,
                ``run_outlived``, and as ``request``. Invalid: as ``request``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(
                connection, caller, once, lambda: self._retry(connection, caller, ingestion_id, run_id)
            )
        failpoint("api.after_tx")
        return answer

    async def _retry(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, run_id: UUID) -> Answer:
        wanted = await self._ready(connection, caller, ingestion_id)
        failed = await repository.get(connection, ingestion_id, run_id)
        refuse_retry(failed, wanted.generation, is_anything_left=await repository.has_unloaded(connection, failed))
        active, queued = await repository.unfinished(connection, ingestion_id)
        if queued is not None:
            raise _run_queued(ingestion_id, queued, "waits for its turn already")
        return await self._store(connection, caller, wanted, trigger="retry", is_first=active is None, retry_of=run_id)

    async def _ready(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID) -> Row[Any]:
        """The ingestion, locked, if a run may be asked for."""
        wanted = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        self._clusters.url_of(wanted.definition["cluster_id"])
        if (halt := await halt_of(connection, ingestion_id)) is not None:
            raise Conflict(f"this ingestion is halted: {halt.message}", code="ingestion_halted", hint=halt.hint)
        ingestions.refuse_while_paused(wanted)
        await refreshes.refuse_while_under_way(connection, ingestion_id)
        return wanted

    async def _store(
        self,
        connection: AsyncConnection,
        caller: Caller,
        of: Row[Any],
        *,
        trigger: str,
        is_first: bool,
        retry_of: UUID | None = None,
    ) -> Answer:
        run_id = new_run_id()
        await repository.insert_run(
            connection, run_id=run_id, of=of, trigger=trigger, dispatch=is_first, retry_of=retry_of
        )
        if is_first:
            await repository.announce(connection, self._outbox, run_id)
        details = {"run_id": str(run_id), "trigger": trigger}
        await audit.record(connection, caller, "run.requested", of.id, details=details)
        return _accepted(run_id, queued=not is_first)

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
        if ended is not None:
            await fold(connection, self._outbox, completion_of(ended))
            await repository.add_details(connection, run_id, (), (CANCELLED,), ended["ended_at"])
        status = (await repository.get(connection, ingestion_id, run_id)).status
        shown = RunCancelled(run_id=run_id, status=status, cancel_requested_at=at)
        return Answer(202, shown.model_dump(mode="json"))

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
        return RunViews(connection, topic_prefix=self._topic_prefix, now=self._clock(), problem=problem)


def _run_queued(ingestion_id: UUID, run_id: UUID, why: str) -> Conflict:
    return Conflict(
        f"run {run_id} {why}, and one run waits at most",
        code="run_queued",
        hint=f"try again when it has begun, or POST /api/v1/ingestions/{ingestion_id}/runs/{run_id}/cancel",
    )


def refuse_retry(run: Row[Any], generation: int, *, is_anything_left: bool) -> None:
    """
    Raises:
        Conflict: there is nothing that a retry of this run could read.
    """
    if run.ended_at is None:
        raise Conflict(
            f"run {run.id} is not over",
            code="run_active",
            hint=f"wait for it: GET /api/v1/ingestions/{run.ingestion_id}/runs/{run.id}",
        )
    if run.generation != generation:
        raise Conflict(
            f"run {run.id} loaded another generation of the table, before a refresh",
            code="run_outlived",
            hint=f"POST /api/v1/ingestions/{run.ingestion_id}/run loads what the table lacks",
        )
    if not is_anything_left:
        raise Conflict(
            f"run {run.id} has nothing left to retry: its files are loaded, or a later run has them",
            code="nothing_to_retry",
            hint=f"GET /api/v1/ingestions/{run.ingestion_id}/files?state=failed names the run of each file that failed",
        )


def _accepted(run_id: UUID, *, queued: bool) -> Answer:
    return Answer(202, RunAccepted(run_id=run_id, queued=queued).model_dump(mode="json"))
