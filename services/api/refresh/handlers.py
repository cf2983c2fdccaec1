"""Asking for refreshes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import Clock, utc_now
from libs.common.contracts.definition import Definition
from libs.common.contracts.events import RefreshMode, RefreshStrategy
from libs.common.failpoints import failpoint
from libs.common.ids import new_refresh_id
from libs.common.secrets import SecretBox
from libs.common.storage.definitions import open_credentials
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.plans import repository as plans
from services.api.plans.changes import refuse_plan
from services.api.refresh import repository, views
from services.api.refresh.impact import Impacts
from services.api.refresh.schemas import Impact, RefreshIn, RefreshOut, UndoIn
from services.api.refresh.undoing import refuse_undo
from services.api.refresh.word import ExecutorsWord


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted of the table."""

    mode: RefreshMode
    auto_run: bool
    undoes: UUID | None = None
    plan_id: UUID | None = None
    strategy: RefreshStrategy = "drop"


class Refreshes:
    """The refreshes of all tenants; every call sees those of its caller only. ``kept_for`` is how long a refresh can be
    undone."""

    def __init__(
        self,
        database: Database,
        secret_box: SecretBox,
        clusters: Clusters,
        outbox: Outbox,
        impacts: Impacts,
        word: ExecutorsWord,
        *,
        kept_for: timedelta,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._box = secret_box
        self._clusters = clusters
        self._outbox = outbox
        self._impacts = impacts
        self._word = word
        self._kept_for = kept_for
        self._clock = clock

    async def request(
        self, caller: Caller, ingestion_id: UUID, mode: RefreshMode, sent: RefreshIn, once: Once | None
    ) -> Answer:
        """202 with what is known of the refresh when the executor has said it, or when the wait is over. The same
        Idempotency-Key gets the same refresh, as it stands then.

        Raises:
            NotFound: the ingestion, or the plan. Conflict: codes ``refresh_active``, ``refresh_building``,
                ``ingestion_paused``, ``plan_outdated``. Invalid: codes ``unknown_cluster``, ``idempotency_key_reused``,
                ``plan_of_another``.
        """
        if sent.dry_run:
            return await self._foretell(caller, ingestion_id, mode, sent, once)
        wish = _Wish(mode, sent.auto_run, plan_id=sent.plan_id, strategy=sent.strategy)
        return await self._carry_out(caller, ingestion_id, wish, once)

    async def undo(
        self, caller: Caller, ingestion_id: UUID, refresh_id: UUID, sent: UndoIn, once: Once | None
    ) -> Answer:
        """202 as ``request``: the table that this refresh set aside comes back, with its history.

        Raises:
            NotFound: the ingestion, or the refresh. Conflict: codes ``refresh_active``, ``ingestion_paused``, and as
                ``refuse_undo``. Invalid: as ``request``.
        """
        return await self._carry_out(caller, ingestion_id, _Wish("undo", sent.auto_run, refresh_id), once)

    async def clear_history(self, caller: Caller, ingestion_id: UUID) -> Answer:
        """202 as ``request``: no file counts as loaded any more, and the table stays as it is.

        Raises:
            NotFound: the ingestion. Conflict: codes ``refresh_active``, ``refresh_building``. Invalid: code
                ``unknown_cluster``.
        """
        return await self._carry_out(caller, ingestion_id, _Wish("clear_history", auto_run=False), None)

    async def get(self, caller: Caller, ingestion_id: UUID, refresh_id: UUID) -> RefreshOut:
        """
        Raises:
            NotFound: the ingestion, or the refresh.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            return self._shown(await repository.one_of(connection, ingestion_id, refresh_id))

    async def page(self, caller: Caller, ingestion_id: UUID, page: Page) -> tuple[list[RefreshOut], int]:
        """One page, newest first, and the length of the whole list.

        Raises:
            NotFound: the ingestion.
        """
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            rows, total = await repository.page(connection, ingestion_id, page)
        return [self._shown(row) for row in rows], total

    async def _foretell(
        self, caller: Caller, ingestion_id: UUID, mode: RefreshMode, sent: RefreshIn, once: Once | None
    ) -> Answer:
        impact, notes = await self._estimate(caller, ingestion_id, _Wish(mode, sent.auto_run))
        foretold = views.foretold(ingestion_id, mode, sent, impact=impact, notes=notes, now=self._clock())
        answer = Answer(202, foretold.model_dump(mode="json"))
        async with self._database.begin() as connection:
            return await at_most_once(connection, caller, once, lambda: _at_once(answer))

    async def _carry_out(self, caller: Caller, ingestion_id: UUID, wish: _Wish, once: Once | None) -> Answer:
        impact, notes = await self._estimate(caller, ingestion_id, wish)
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            accepted = await at_most_once(
                connection, caller, once, lambda: self._accept(connection, caller, ingestion_id, wish, impact, notes)
            )
        failpoint("api.after_tx")
        row = await self._word.on(UUID(accepted.body["refresh_id"]))
        return Answer(202, self._shown(row).model_dump(mode="json"), replayed=accepted.replayed)

    async def _estimate(self, caller: Caller, ingestion_id: UUID, wish: _Wish) -> tuple[Impact, list[str]]:
        async with self._database.read() as connection:
            row = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            sealed = await ingestions.sealed_secret(connection, ingestion_id)
            history = row.generation if wish.mode == "new_only" else None
            if wish.undoes is not None:
                history = (await repository.one_of(connection, ingestion_id, wish.undoes)).from_generation
        access = open_credentials(self._box, ingestion_id, sealed)
        source = Definition.model_validate(row.definition).source
        return await self._impacts.of(row, history, source, access)

    async def _accept(
        self,
        connection: AsyncConnection,
        caller: Caller,
        ingestion_id: UUID,
        wish: _Wish,
        impact: Impact,
        notes: list[str],
    ) -> Answer:
        of = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        self._clusters.url_of(of.definition["cluster_id"])
        if wish.auto_run:
            ingestions.refuse_while_paused(of)
        await repository.refuse_while_under_way(connection, ingestion_id)
        strategy = wish.strategy
        if wish.undoes is not None:
            strategy = await self._refuse_undo(connection, of, wish.undoes)
        else:
            repository.refuse_while_building(of)
        if wish.plan_id is not None:
            plan = await plans.get(connection, ingestion_id, wish.plan_id, is_applied=True)
            refuse_plan(plan, of, f"refresh_{wish.mode}")
        refresh_id = new_refresh_id()
        await repository.insert(
            connection,
            of,
            id=refresh_id,
            mode=wish.mode,
            undoes=wish.undoes,
            strategy=strategy,
            plan_id=wish.plan_id,
            auto_run=wish.auto_run,
            impact=impact.model_dump(mode="json"),
            notes=notes,
        )
        await repository.announce(connection, self._outbox, refresh_id)
        details = {"refresh_id": str(refresh_id), "mode": wish.mode, "strategy": strategy}
        if wish.undoes is not None:
            details["undoes"] = str(wish.undoes)
        await audit.record(connection, caller, "refresh.requested", ingestion_id, destructive=True, details=details)
        return Answer(202, {"refresh_id": str(refresh_id)})

    async def _refuse_undo(self, connection: AsyncConnection, of: Row[Any], refresh_id: UUID) -> RefreshStrategy:
        """How the refresh was done, if it can be undone."""
        row = await repository.one_of(connection, of.id, refresh_id)
        refuse_undo(
            row,
            await repository.done_since(connection, row),
            Definition.model_validate(of.definition),
            now=await repository.now(connection),
            kept_for=self._kept_for,
        )
        strategy: RefreshStrategy = row.strategy
        return strategy

    def _shown(self, row: Row[Any]) -> RefreshOut:
        return views.told(row, kept_for=self._kept_for)


async def _at_once(answer: Answer) -> Answer:
    return answer
