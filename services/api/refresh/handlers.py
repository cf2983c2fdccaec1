"""Asking for refreshes."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import Clock, utc_now
from libs.common.contracts.definition import Definition
from libs.common.contracts.events import RefreshMode
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
from services.api.refresh import repository, views
from services.api.refresh.impact import Impacts
from services.api.refresh.schemas import Impact, RefreshIn

_LOOK_EVERY_S = 0.1


class Refreshes:
    """The refreshes of all tenants; every call sees those of its caller only. ``wait`` bounds how long an answer
    waits for the executor's word."""

    def __init__(
        self,
        database: Database,
        secret_box: SecretBox,
        clusters: Clusters,
        outbox: Outbox,
        impacts: Impacts,
        *,
        wait: timedelta,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._box = secret_box
        self._clusters = clusters
        self._outbox = outbox
        self._impacts = impacts
        self._wait = wait
        self._clock = clock

    async def request(
        self, caller: Caller, ingestion_id: UUID, mode: RefreshMode, sent: RefreshIn, once: Once | None
    ) -> Answer:
        """202 with what is known of the refresh when the executor has said it, or when the wait is over. The same
        Idempotency-Key gets the same refresh, as it stands then.

        Raises:
            NotFound: the ingestion. Conflict: codes ``refresh_active``, ``ingestion_paused``. Invalid: codes
                ``unknown_cluster``, ``idempotency_key_reused``.
        """
        impact, notes = await self._estimate(caller, ingestion_id, mode)
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            if sent.dry_run:
                foretold = views.foretold(
                    ingestion_id, mode, auto_run=sent.auto_run, impact=impact, notes=notes, now=self._clock()
                )
                answer = Answer(202, foretold.model_dump(mode="json"))
                return await at_most_once(connection, caller, once, lambda: _at_once(answer))
            accepted = await at_most_once(
                connection,
                caller,
                once,
                lambda: self._accept(connection, caller, ingestion_id, mode, sent, impact, notes),
            )
        failpoint("api.after_tx")
        row = await self._told(UUID(accepted.body["refresh_id"]))
        return Answer(202, views.told(row).model_dump(mode="json"), replayed=accepted.replayed)

    async def _estimate(self, caller: Caller, ingestion_id: UUID, mode: RefreshMode) -> tuple[Impact, list[str]]:
        async with self._database.read() as connection:
            row = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            sealed = await ingestions.sealed_secret(connection, ingestion_id)
        access = open_credentials(self._box, ingestion_id, sealed)
        definition = Definition.model_validate(row.definition)
        return await self._impacts.of(ingestion_id, row.generation, definition, access, mode)

    async def _accept(
        self,
        connection: AsyncConnection,
        caller: Caller,
        ingestion_id: UUID,
        mode: RefreshMode,
        sent: RefreshIn,
        impact: Impact,
        notes: list[str],
    ) -> Answer:
        of = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        self._clusters.url_of(of.definition["cluster_id"])
        if sent.auto_run:
            ingestions.refuse_while_paused(of)
        await repository.refuse_while_under_way(connection, ingestion_id)
        refresh_id = new_refresh_id()
        await repository.insert(
            connection,
            of,
            id=refresh_id,
            mode=mode,
            auto_run=sent.auto_run,
            impact=impact.model_dump(mode="json"),
            notes=notes,
        )
        await repository.announce(connection, self._outbox, refresh_id)
        details = {"refresh_id": str(refresh_id), "mode": mode}
        await audit.record(connection, caller, "refresh.requested", ingestion_id, destructive=True, details=details)
        return Answer(202, {"refresh_id": str(refresh_id)})

    async def _told(self, refresh_id: UUID) -> Row[Any]:
        """The refresh as soon as something was said of it, or as it is when the wait is over."""
        deadline = asyncio.get_running_loop().time() + self._wait.total_seconds()
        while True:
            async with self._database.read() as connection:
                row = await repository.get(connection, refresh_id)
            assert row is not None
            if row.told_at is not None or asyncio.get_running_loop().time() >= deadline:
                return row
            await asyncio.sleep(_LOOK_EVERY_S)


async def _at_once(answer: Answer) -> Answer:
    return answer
