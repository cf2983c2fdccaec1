"""What happens to ingestions: gather, decide, act, in one transaction each."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.definition import Credentials, Definition
from libs.common.failpoints import failpoint
from libs.common.ids import new_ingestion_id
from libs.common.ledger.ingestions import lift_halt
from libs.common.secrets import SecretBox
from libs.common.storage.definitions import open_credentials, seal_credentials
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository
from services.api.ingestions.changes import check_identity, patched
from services.api.ingestions.schemas import Halt, IngestionIn, IngestionMetadata, IngestionOut, Paused, Resumed
from services.api.ingestions.sense import Neighbour, warnings
from services.api.pages import Page
from services.api.runs import repository as runs
from services.api.schedules import standing


class Ingestions:
    """The ingestions of all tenants; every call sees those of its caller only."""

    def __init__(self, database: Database, secret_box: SecretBox, clusters: Clusters, outbox: Outbox) -> None:
        self._database = database
        self._box = secret_box
        self._clusters = clusters
        self._outbox = outbox

    async def create(self, caller: Caller, sent: IngestionIn, once: Once | None) -> Answer:
        """201 with the new ingestion, a draft.

        Raises:
            Invalid: codes ``unknown_cluster``, ``idempotency_key_reused``.
        """
        definition = sent.definition()
        self._clusters.url_of(definition.cluster_id)
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(
                connection, caller, once, lambda: self._create(connection, caller, definition, sent.credentials)
            )
        failpoint("api.after_tx")
        return answer

    async def _create(
        self, connection: AsyncConnection, caller: Caller, definition: Definition, credentials: Credentials | None
    ) -> Answer:
        ingestion_id = new_ingestion_id()
        await repository.insert_ingestion(connection, caller, ingestion_id, definition)
        if credentials is not None:
            await repository.store_secret(
                connection, ingestion_id, seal_credentials(self._box, ingestion_id, credentials)
            )
        await audit.record(connection, caller, "ingestion.created", ingestion_id, details={"name": definition.name})
        row = await repository.get(connection, caller.tenant_id, ingestion_id)
        [shown] = await self._shown(connection, caller, [row])
        return Answer(201, shown.model_dump(mode="json", by_alias=True))

    async def get(self, caller: Caller, ingestion_id: UUID) -> IngestionOut:
        """
        Raises:
            NotFound: unknown, deleted, or another tenant's.
        """
        async with self._database.read() as connection:
            row = await repository.get(connection, caller.tenant_id, ingestion_id)
            return (await self._shown(connection, caller, [row]))[0]

    async def page(self, caller: Caller, page: Page) -> tuple[list[IngestionOut], int]:
        """One page, newest first, and the length of the whole list."""
        async with self._database.read() as connection:
            rows, total = await repository.page(connection, caller.tenant_id, page)
            return await self._shown(connection, caller, rows), total

    async def replace(self, caller: Caller, ingestion_id: UUID, sent: IngestionIn) -> IngestionOut:
        """The whole definition anew. Stored credentials stay when ``sent`` has none (PATCH can remove them).

        Raises:
            NotFound, Invalid (``unknown_cluster``), Conflict (``identity_fixed``).
        """
        self._clusters.url_of(sent.cluster_id)
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            row = await repository.lock(connection, caller.tenant_id, ingestion_id)
            shown = await self._store(connection, caller, row, sent, keep_credentials=True)
        failpoint("api.after_tx")
        return shown

    async def patch(self, caller: Caller, ingestion_id: UUID, patch: Mapping[str, Any]) -> IngestionOut:
        """A JSON merge patch of the definition and the credentials.

        Raises:
            NotFound, Invalid (``unknown_cluster``, ``read_only_field``, ``invalid_request``), Conflict
            (``identity_fixed``).
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            row = await repository.lock(connection, caller.tenant_id, ingestion_id)
            sealed = await repository.sealed_secret(connection, ingestion_id)
            sent = patched(row.definition, open_credentials(self._box, ingestion_id, sealed), patch)
            self._clusters.url_of(sent.cluster_id)
            shown = await self._store(connection, caller, row, sent, keep_credentials=False)
        failpoint("api.after_tx")
        return shown

    async def _store(
        self, connection: AsyncConnection, caller: Caller, row: Row[Any], sent: IngestionIn, *, keep_credentials: bool
    ) -> IngestionOut:
        before, after = Definition.model_validate(row.definition), sent.definition()
        check_identity(before, after, is_bound=await repository.is_bound(connection, row.id, row.generation))
        await repository.update_definition(connection, row.id, after)
        await standing.follow(connection, row, before.schedule, after.schedule)
        if sent.credentials is not None:
            await repository.store_secret(connection, row.id, seal_credentials(self._box, row.id, sent.credentials))
        elif not keep_credentials:
            await repository.remove_secret(connection, row.id)
        details = {"definition_version": row.definition_version + 1}
        await audit.record(connection, caller, "ingestion.updated", row.id, details=details)
        changed = await repository.get(connection, caller.tenant_id, row.id)
        return (await self._shown(connection, caller, [changed]))[0]

    async def pause(self, caller: Caller, ingestion_id: UUID, once: Once | None) -> Answer:
        """Nothing begins until somebody resumes: requests are refused, a queued run waits. A run that is active goes on
        to its end; cancel it to stop it. Paused already: nothing changes.

        Raises:
            NotFound. Invalid: code ``idempotency_key_reused``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(connection, caller, once, lambda: self._pause(connection, caller, ingestion_id))
        failpoint("api.after_tx")
        return answer

    async def _pause(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID) -> Answer:
        row = await repository.lock(connection, caller.tenant_id, ingestion_id)
        if row.status != "paused":
            await repository.set_status(connection, ingestion_id, "paused")
            await audit.record(connection, caller, "ingestion.paused", ingestion_id)
        return Answer(200, Paused().model_dump(mode="json"))

    async def resume(self, caller: Caller, ingestion_id: UUID, once: Once | None) -> Answer:
        """Lets loading go on after a pause or a halt, and starts the run that waits, if one does. If ledger and table
        still contradict each other, the next batch halts it again before anything becomes visible. A draft with a
        schedule, or with events, becomes active: they are on. Nothing of all that: nothing changes.

        Raises:
            NotFound. Invalid: code ``idempotency_key_reused``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(
                connection, caller, once, lambda: self._resume(connection, caller, ingestion_id)
            )
        failpoint("api.after_tx")
        return answer

    async def _resume(self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID) -> Answer:
        row = await repository.lock(connection, caller.tenant_id, ingestion_id)
        halted_at = await lift_halt(connection, ingestion_id)
        begins = row.status == "draft" and Definition.model_validate(row.definition).schedule.is_wanted
        is_paused = row.status == "paused"
        if begins or is_paused:
            await standing.activate(connection, row)
            await runs.dispatch_queued(connection, self._outbox, ingestion_id)
        if begins or is_paused or halted_at is not None:
            details = {"halted_at": halted_at.isoformat()} if halted_at else {}
            await audit.record(connection, caller, "ingestion.resumed", ingestion_id, details=details)
        return Answer(200, Resumed(status="active" if begins or is_paused else row.status).model_dump(mode="json"))

    async def _shown(self, connection: AsyncConnection, caller: Caller, rows: Sequence[Row[Any]]) -> list[IngestionOut]:
        neighbours = await repository.neighbours(connection, caller.tenant_id, rows)
        return [self._worded(row, neighbours[row.id]) for row in rows]

    def _worded(self, row: Row[Any], neighbours: Sequence[Neighbour]) -> IngestionOut:
        source = {**row.definition["source"], "credentials_set": row.credentials_set}
        halt = None
        if row.halt_code is not None:
            halt = Halt(code=row.halt_code, message=row.halt_message, hint=row.halt_hint, since=row.halted_at)
        return IngestionOut.model_validate(
            {
                **row.definition,
                "source": source,
                "id": row.id,
                "tenant_id": row.tenant_id,
                "status": row.status if halt is None else "paused",
                "spark_connect_url": self._clusters.known(row.definition["cluster_id"]),
                "metadata": IngestionMetadata(
                    last_run_id=row.last_run_id,
                    last_run_time=row.last_run_time,
                    next_run_time=row.next_run_time if row.status == "active" and halt is None else None,
                    schema_version=row.schema_version,
                    watermark=row.watermark,
                    halt=halt,
                ),
                "definition_version": row.definition_version,
                "generation": row.generation,
                "warnings": warnings(Definition.model_validate(row.definition), neighbours, row.building),
                "created_at": row.created_at,
                "updated_at": row.updated_at,
                "created_by": row.created_by,
            }
        )
