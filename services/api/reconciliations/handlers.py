"""Asking for audits and rebuilds, and looking at what they found. The executor does the work."""

from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.built_aside import definition_of_now
from libs.common.contracts.events import AuditIngestion, FillColumns, RebuildLedger
from libs.common.contracts.topics import TABLE_COMMANDS
from libs.common.errors import Conflict, Invalid, NotFound
from libs.common.failpoints import failpoint
from libs.common.ledger.reconciliations import DONE
from libs.common.ledger.tables import audit as done
from libs.common.storage.control import reconciliation
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.reconciliations.schemas import AuditOut, FillOut, RebuildIn, RebuildOut
from services.api.table_schema.decisions import whole_columns
from services.api.table_schema.schemas import ColumnsIn

Kind = Literal["audit", "rebuild", "fill"]
_COMMANDS: dict[Kind, type[AuditIngestion | RebuildLedger | FillColumns]] = {
    "audit": AuditIngestion,
    "rebuild": RebuildLedger,
    "fill": FillColumns,
}


class Reconciliations:
    """The audits, rebuilds and fills of all tenants; every call sees those of its caller only."""

    def __init__(self, database: Database, clusters: Clusters, outbox: Outbox) -> None:
        self._database = database
        self._clusters = clusters
        self._outbox = outbox

    async def request_audit(self, caller: Caller, ingestion_id: UUID, once: Once | None) -> Answer:
        """202 with the audit's id.

        Raises:
            NotFound: the ingestion. Invalid: codes ``unknown_cluster``, ``idempotency_key_reused``.
        """
        return await self._once(caller, ingestion_id, once, "audit", {})

    async def request_rebuild(self, caller: Caller, ingestion_id: UUID, wanted: RebuildIn, once: Once | None) -> Answer:
        """202 with the rebuild's id.

        Raises:
            NotFound: the ingestion. Conflict: code ``run_active``. Invalid: codes ``not_confirmed``,
            ``unknown_cluster``, ``idempotency_key_reused``.
        """
        if not (wanted.confirm or wanted.dry_run):
            raise Invalid(
                "a rebuild changes what the ledger says of this ingestion",
                code="not_confirmed",
                hint='send {"confirm": true}, or {"dry_run": true} to see what it would do',
            )
        options = wanted.model_dump(mode="json", exclude={"confirm"})
        return await self._once(caller, ingestion_id, once, "rebuild", options)

    async def audit(self, caller: Caller, ingestion_id: UUID, audit_id: UUID) -> AuditOut:
        """
        Raises:
            NotFound: the ingestion, or the audit.
        """
        return AuditOut(audit_id=audit_id, **await self._found(caller, ingestion_id, audit_id, "audit"))

    async def rebuild(self, caller: Caller, ingestion_id: UUID, rebuild_id: UUID) -> RebuildOut:
        """
        Raises:
            NotFound: the ingestion, or the rebuild.
        """
        return RebuildOut(rebuild_id=rebuild_id, **await self._found(caller, ingestion_id, rebuild_id, "rebuild"))

    async def request_fill(self, caller: Caller, ingestion_id: UUID, wanted: ColumnsIn, once: Once | None) -> Answer:
        """202 with the fill's id.

        Raises:
            NotFound: the ingestion. Invalid: codes ``unknown_column``, ``unknown_cluster``,
                ``idempotency_key_reused``.
        """
        columns = None if wanted.columns is None else whole_columns(wanted.columns)
        return await self._once(caller, ingestion_id, once, "fill", {"columns": columns})

    async def fill(self, caller: Caller, ingestion_id: UUID, fill_id: UUID) -> FillOut:
        """
        Raises:
            NotFound: the ingestion, or the fill.
        """
        return FillOut(fill_id=fill_id, **await self._found(caller, ingestion_id, fill_id, "fill"))

    async def _once(
        self, caller: Caller, ingestion_id: UUID, once: Once | None, kind: Kind, options: dict[str, Any]
    ) -> Answer:
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(
                connection, caller, once, lambda: self._request(connection, caller, ingestion_id, kind, options)
            )
        failpoint("api.after_tx")
        return answer

    async def _request(
        self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, kind: Kind, options: dict[str, Any]
    ) -> Answer:
        wanted = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        self._clusters.url_of(wanted.definition["cluster_id"])
        if kind == "rebuild" and (run_id := await ingestions.unfinished_run(connection, ingestion_id)) is not None:
            raise Conflict(
                f"run {run_id} of this ingestion is not over",
                code="run_active",
                hint=f"wait for it: GET /api/v1/ingestions/{ingestion_id}/runs/{run_id}; then rebuild",
            )
        request_id = uuid4()
        await connection.execute(
            reconciliation.insert().values(
                id=request_id,
                ingestion_id=ingestion_id,
                tenant_id=caller.tenant_id,
                kind=kind,
                options=options,
                generation=wanted.generation,
                definition=definition_of_now(wanted.definition, wanted.building),
            )
        )
        command = _COMMANDS[kind](request_id=request_id, ingestion_id=ingestion_id)
        await self._outbox.enqueue(connection, TABLE_COMMANDS, command)
        await audit.record(
            connection,
            caller,
            f"{kind}.requested",
            ingestion_id,
            destructive=kind == "rebuild" and not options["dry_run"],
            details={f"{kind}_id": str(request_id), **options},
        )
        return Answer(202, {f"{kind}_id": str(request_id), "status": "requested"})

    async def _found(self, caller: Caller, ingestion_id: UUID, request_id: UUID, kind: Kind) -> dict[str, Any]:
        query = (
            select(reconciliation.c.created_at, done.c.state, done.c.ended_at, done.c.problem, done.c.report)
            .outerjoin(done, done.c.id == reconciliation.c.id)
            .where(
                reconciliation.c.id == request_id,
                reconciliation.c.ingestion_id == ingestion_id,
                reconciliation.c.kind == kind,
            )
        )
        async with self._database.read() as connection:
            await ingestions.ensure_exists(connection, caller.tenant_id, ingestion_id)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound(
                f"no {kind} of this ingestion has the id {request_id}",
                code=f"unknown_{kind}",
                hint="the answer to the POST that asked for it has its id",
            )
        return {
            "ingestion_id": ingestion_id,
            "status": row.state or "requested",
            "created_at": row.created_at,
            "ended_at": row.ended_at,
            "problem": row.problem,
            "report": row.report if row.state == DONE else None,  # a fill's is written before it is done
        }
