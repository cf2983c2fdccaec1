"""``/ingestions/{id}/audit``, ``/audits``, ``/rebuild-ledger``, ``/rebuilds``, and what fills columns."""

from uuid import UUID

from fastapi import APIRouter, Response

from services.api.caller import Caller
from services.api.docs import OnceHeader, errors_for
from services.api.reconciliations.handlers import Reconciliations
from services.api.reconciliations.schemas import (
    AuditAccepted,
    AuditOut,
    FillAccepted,
    FillOut,
    RebuildAccepted,
    RebuildIn,
    RebuildOut,
)
from services.api.table_schema.schemas import ColumnsIn


def router(reconciliations: Reconciliations, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}", tags=["audits"])

    @routes.post(
        "/audit",
        status_code=202,
        response_model=AuditAccepted,
        summary="Hold bucket, ledger and table against each other",
        description="Finds what is missing, duplicated or orphaned, and changes nothing. The report is at the address "
        "in `Location`.",
        responses=errors_for(404, 413, 422),
    )
    async def request_audit(ingestion_id: UUID, once: OnceHeader) -> Response:
        answer = await reconciliations.request_audit(caller, ingestion_id, once)
        return answer.response({"Location": f"/api/v1/ingestions/{ingestion_id}/audits/{answer.body['audit_id']}"})

    @routes.get(
        "/audits/{audit_id}",
        summary="One audit and its report",
        description="`report` is there when it is done, `problem` when it could not be.",
        responses=errors_for(404, 422),
    )
    async def get_audit(ingestion_id: UUID, audit_id: UUID) -> AuditOut:
        return await reconciliations.audit(caller, ingestion_id, audit_id)

    @routes.post(
        "/rebuild-ledger",
        status_code=202,
        response_model=RebuildAccepted,
        summary="Bring the ledger up to what the table proves",
        description="For a ledger that was lost, or restored from an older backup. Ends a halt. The report is at the "
        "address in `Location`.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def request_rebuild(ingestion_id: UUID, wanted: RebuildIn, once: OnceHeader) -> Response:
        answer = await reconciliations.request_rebuild(caller, ingestion_id, wanted, once)
        return answer.response({"Location": f"/api/v1/ingestions/{ingestion_id}/rebuilds/{answer.body['rebuild_id']}"})

    @routes.get(
        "/rebuilds/{rebuild_id}",
        summary="One rebuild and its report",
        description="`report` is there when it is done, `problem` when it could not be.",
        responses=errors_for(404, 422),
    )
    async def get_rebuild(ingestion_id: UUID, rebuild_id: UUID) -> RebuildOut:
        return await reconciliations.rebuild(caller, ingestion_id, rebuild_id)

    @routes.post(
        "/schema/fill",
        status_code=202,
        response_model=FillAccepted,
        tags=["schema"],
        summary="Fill columns from what was rescued",
        description="In rows that were loaded before a column came, its value stands in the column for rescued data. "
        "This puts it into the column, in one commit, where it fits whole and the column has no value. Without "
        "`columns`: all of them. The report is at the address in `Location`.",
        responses=errors_for(400, 404, 413, 422),
    )
    async def request_fill(ingestion_id: UUID, wanted: ColumnsIn, once: OnceHeader) -> Response:
        answer = await reconciliations.request_fill(caller, ingestion_id, wanted, once)
        return answer.response({"Location": f"/api/v1/ingestions/{ingestion_id}/schema/fills/{answer.body['fill_id']}"})

    @routes.get(
        "/schema/fills/{fill_id}",
        tags=["schema"],
        summary="One fill and its report",
        description="`report` is there when it is done, `problem` when it could not be.",
        responses=errors_for(404, 422),
    )
    async def get_fill(ingestion_id: UUID, fill_id: UUID) -> FillOut:
        return await reconciliations.fill(caller, ingestion_id, fill_id)

    return routes
