"""Asking for runs: of what is new, of what failed, of a part of the history.

In each lane one run of an ingestion is active, and one waits at most.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.definition import FILE_PATH, Definition
from libs.common.contracts.scope import KEYS_MAX, Scope
from libs.common.errors import Conflict
from libs.common.failpoints import failpoint
from libs.common.ledger.ingestions import halt_of
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.plans import repository as plans
from services.api.plans.changes import refuse_plan
from services.api.quarantine import repository as quarantine
from services.api.refresh import repository as refreshes
from services.api.runs import repository
from services.api.runs.beginning import NewRun, Standing, answer_of, standing_of, store_new
from services.api.runs.places import placed_in
from services.api.runs.plain import PlainRequests
from services.api.runs.plain_rows import Asked
from services.api.runs.refusals import file_column_missing, refuse_retry, retry_scope, run_queued

IfBusy = Literal["join", "wait", "leave"]
"""What becomes of a run that no caller asked for while others of its lane are unfinished. join: it waits behind the
active one, or is the one that waits already and reads all that is new. wait: the same, but it joins nobody. leave: it
is not stored at all."""


@dataclass(frozen=True, slots=True)
class Triggered:
    """A run that no caller asked for; ``is_new`` unless it had been waiting before."""

    run_id: UUID
    is_new: bool


class RunRequests:
    """Takes requests for runs of all tenants; every call sees the ingestions of its caller only."""

    def __init__(self, database: Database, clusters: Clusters, outbox: Outbox) -> None:
        self._database = database
        self._clusters = clusters
        self._outbox = outbox
        self._plain = PlainRequests(database, clusters, outbox)

    async def request(
        self, caller: Caller, ingestion_id: UUID, once: Once | None, *, plan_id: UUID | None = None
    ) -> Answer:
        """202 with the run that will load what is new: a new run, or the one that waits already.

        One run of an ingestion is active and one waits at most: whatever a third would find, the waiting one finds.
        With ``plan_id``, a run that loads exactly the files of that plan, or none.

        Raises:
            NotFound: the ingestion, or the plan. Conflict: codes ``ingestion_halted``, ``ingestion_paused``,
                ``refresh_active``, ``plan_outdated``; ``run_queued`` if the one that waits does something of its own.
                Invalid: codes ``unknown_cluster``, ``plan_of_another``, ``idempotency_key_reused``.
        """
        if plan_id is not None:
            return await self._once(caller, once, lambda c: self._apply(c, caller, ingestion_id, plan_id))
        failpoint("api.before_tx")
        answer = await self._plain(Asked(caller, ingestion_id, once))
        if answer is None:
            answer = await self._alone(caller, once, lambda c: self._request(c, caller, ingestion_id))
        failpoint("api.after_tx")
        # What if the process stops right here? The outbox row is committed: the next relay sends it.
        return answer

    async def _request(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID) -> Answer:
        wanted, standing = await self._ready(connection, caller, ingestion_id)
        queued = standing.lanes["fresh"].queued
        if queued is not None:
            if not await repository.reads_all_that_is_new(connection, ingestion_id, queued):
                raise run_queued(ingestion_id, queued, "reads something of its own, and waits for its turn")
            return answer_of(queued, queued=True)
        return await self._store(connection, caller, wanted, standing, NewRun("manual"))

    async def trigger(
        self, connection: AsyncConnection, ingestion_id: UUID, new: NewRun, *, actor: str, if_busy: IfBusy
    ) -> Triggered | None:
        """A run that no caller asked for: ``new.trigger`` says why, ``actor`` who the audit trail names. It is part of
        the transaction of ``connection``, and announced when that commits. None: its lane is busy, nothing was stored.

        Raises:
            NotFound: the ingestion. Conflict: codes ``ingestion_halted``, ``ingestion_paused``, ``refresh_active``.
                Invalid: code ``unknown_cluster``.
        """
        caller = Caller(await ingestions.tenant_of(connection, ingestion_id), actor)
        wanted, standing = await self._ready(connection, caller, ingestion_id)
        here = standing.lanes[new.lane]
        if here.queued is not None and if_busy == "join":
            is_shared = await repository.reads_all_that_is_new(connection, ingestion_id, here.queued)
            return Triggered(here.queued, is_new=False) if is_shared else None
        if here.queued is not None or (here.active is not None and if_busy == "leave"):
            return None
        run_id = await self._stored(connection, caller, wanted, standing, new)
        return Triggered(run_id, is_new=True)

    async def _apply(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, plan_id: UUID) -> Answer:
        wanted, standing = await self._ready(connection, caller, ingestion_id)
        plan = await plans.get(connection, ingestion_id, plan_id, is_applied=True)
        refuse_plan(plan, wanted, "run", "backfill")
        scope = Scope.model_validate({**plan.scope, "plan_id": plan_id})
        is_backfill = plan.kind == "backfill"
        new = NewRun(
            trigger="backfill" if is_backfill else "manual",
            lane="backfill" if is_backfill else "fresh",
            scope=scope,
            predicted=plan.shown["predicted"],
        )
        return await self._line_up(connection, caller, wanted, standing, new)

    async def retry(self, caller: Caller, ingestion_id: UUID, run_id: UUID, once: Once | None) -> Answer:
        """202 with a new run that reads only what failed in this one, in whatever version it is there now, and what
        this one gave up. It uses the definition as it is now.

        Raises:
            NotFound: the ingestion, or the run. Conflict: codes ``run_active``, ``nothing_to_retry``, ``run_queued``,
                ``run_outlived``, and as ``request``. Invalid: as ``request``.
        """
        return await self._once(caller, once, lambda c: self._retry(c, caller, ingestion_id, run_id))

    async def _retry(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, run_id: UUID) -> Answer:
        wanted, standing = await self._ready(connection, caller, ingestion_id)
        failed = await repository.get(connection, ingestion_id, run_id)
        refuse_retry(failed, wanted.generation, is_anything_left=await repository.has_unloaded(connection, failed))
        scope = None if failed.scope is None else retry_scope(Scope.model_validate(failed.scope))
        new = NewRun("retry", failed.lane, scope, run_id)
        return await self._line_up(connection, caller, wanted, standing, new)

    async def backfill(self, caller: Caller, ingestion_id: UUID, scope: Scope, once: Once | None) -> Answer:
        """202 with a run, in the lane of backfills, that reads what of the source the scope covers and the table lacks.

        Raises:
            NotFound, Conflict, Invalid: as ``request``; Conflict ``run_queued`` if another backfill waits. Invalid:
                codes ``key_outside_source``, ``prefix_outside_source``.
        """
        return await self._once(caller, once, lambda c: self._backfill(c, caller, ingestion_id, scope))

    async def _backfill(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, scope: Scope) -> Answer:
        wanted, standing = await self._ready(connection, caller, ingestion_id)
        placed = placed_in(Definition.model_validate(wanted.definition).source, scope)
        new = NewRun("backfill", lane="backfill", scope=placed)
        return await self._line_up(connection, caller, wanted, standing, new)

    async def _ready(
        self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID
    ) -> tuple[Row[Any], Standing]:
        """The ingestion, locked, if a run may be asked for; and which of its runs are not over."""
        wanted = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        self._clusters.url_of(wanted.definition["cluster_id"])
        standing = await standing_of(connection, ingestion_id)
        if standing.is_halted and (halt := await halt_of(connection, ingestion_id)) is not None:
            raise Conflict(f"this ingestion is halted: {halt.message}", code="ingestion_halted", hint=halt.hint)
        ingestions.refuse_while_paused(wanted)
        if standing.is_refreshing:
            await refreshes.refuse_while_under_way(connection, ingestion_id)
        return wanted, standing

    async def reload(self, caller: Caller, ingestion_id: UUID, scope: Scope, once: Once | None) -> Answer:
        """202 with a run, in the lane of backfills, that loads the files of the scope again.

        Raises:
            NotFound, Conflict, Invalid: as ``backfill``; Conflict ``file_column_missing`` if one of them is loaded, and
                rows do not say which file they came from.
        """
        return await self._once(caller, once, lambda c: self._reload(c, caller, ingestion_id, scope))

    async def _reload(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, scope: Scope) -> Answer:
        wanted, standing = await self._ready(connection, caller, ingestion_id)
        definition = Definition.model_validate(wanted.definition)
        placed = placed_in(definition.source, scope)
        says_the_file = FILE_PATH in definition.destination.metadata_columns
        if not says_the_file and await repository.has_loaded(connection, wanted, definition.source.bucket, placed):
            raise file_column_missing(definition)
        new = NewRun("manual", lane="backfill", scope=placed)
        return await self._line_up(connection, caller, wanted, standing, new)

    async def replay(
        self, caller: Caller, ingestion_id: UUID, files: tuple[str, ...] | None, once: Once | None
    ) -> Answer:
        """202 with a reload of the files that have records in the quarantine: all of them, or these.

        Raises:
            NotFound, Conflict, Invalid: as ``reload``; Conflict ``nothing_quarantined`` if there is no such file.
        """
        return await self._once(caller, once, lambda c: self._replay(c, caller, ingestion_id, files))

    async def _replay(
        self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, files: tuple[str, ...] | None
    ) -> Answer:
        wanted, _ = await self._ready(connection, caller, ingestion_id)
        keys = await quarantine.keys(connection, ingestion_id, wanted.generation, limit=KEYS_MAX)
        if files is not None:
            source = Definition.model_validate(wanted.definition).source
            named = placed_in(source, Scope(keys=files, again=True, is_backfill=True)).keys or ()
            keys = sorted(set(keys) & set(named))
        if not keys:
            raise Conflict(
                "no file that was asked for has records in the quarantine",
                code="nothing_quarantined",
                hint=f"GET /api/v1/ingestions/{ingestion_id}/quarantine lists those that have",
            )
        return await self._reload(
            connection, caller, ingestion_id, Scope(keys=tuple(keys), again=True, is_backfill=True)
        )

    async def _line_up(
        self, connection: AsyncConnection, caller: Caller, of: Row[Any], standing: Standing, new: NewRun
    ) -> Answer:
        """Stores a run that does something of its own, so that it cannot join one that waits."""
        queued = standing.lanes[new.lane].queued
        if queued is not None:
            raise run_queued(of.id, queued, "waits for its turn already")
        return await self._store(connection, caller, of, standing, new)

    async def _store(
        self, connection: AsyncConnection, caller: Caller, of: Row[Any], standing: Standing, new: NewRun
    ) -> Answer:
        run_id = await self._stored(connection, caller, of, standing, new)
        return answer_of(run_id, queued=standing.lanes[new.lane].active is not None)

    async def _stored(
        self, connection: AsyncConnection, caller: Caller, of: Row[Any], standing: Standing, new: NewRun
    ) -> UUID:
        is_first = standing.lanes[new.lane].active is None
        return await store_new(
            connection, self._outbox, of, new, is_sent=is_first, now=standing.now, requested_by=caller
        )

    async def _once(
        self, caller: Caller, once: Once | None, ask: Callable[[AsyncConnection], Awaitable[Answer]]
    ) -> Answer:
        failpoint("api.before_tx")
        answer = await self._alone(caller, once, ask)
        failpoint("api.after_tx")  # as in ``request``
        return answer

    async def _alone(
        self, caller: Caller, once: Once | None, ask: Callable[[AsyncConnection], Awaitable[Answer]]
    ) -> Answer:
        async with self._database.begin() as connection:
            return await at_most_once(connection, caller, once, lambda: ask(connection))
