"""``/ingestions/{id}/completeness``."""

from uuid import UUID

from fastapi import APIRouter

from services.api.caller import Caller
from services.api.completeness.handlers import Completeness
from services.api.completeness.schemas import CompletenessOut
from services.api.docs import errors_for


def router(completeness: Completeness, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}/completeness", tags=["completeness"])

    @routes.get(
        "",
        summary="Up to when everything is loaded",
        description="The watermark: every object that the store had before it is loaded, set aside in quarantine, or "
        "left out by the definition. Only a listing of the whole source moves what is known; files that are not "
        "finished hold it back, and are named. Beside it, the periods in which files that should come did not "
        "(`quality.expected_arrivals`).",
        responses=errors_for(404, 422),
    )
    async def get_completeness(ingestion_id: UUID) -> CompletenessOut:
        return await completeness.get(caller, ingestion_id)

    return routes
