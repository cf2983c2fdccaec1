"""``/ingestions/test``."""

from fastapi import APIRouter, Response

from services.api.caller import Caller
from services.api.docs import OnceHeader, errors_for
from services.api.ingestions.schemas import IngestionIn
from services.api.preview.handlers import Previews
from services.api.preview.schemas import Preview


def router(previews: Previews, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions", tags=["ingestions"])

    @routes.post(
        "/test",
        response_model=Preview,
        summary="Preview an ingestion",
        description="Lists the source, reads the first lines of some files, and shows the files, columns and rows that "
        "an ingestion of this definition would begin with, and what is wrong with them. Nothing is created.",
        responses=errors_for(400, 413, 422),
    )
    async def preview_ingestion(sent: IngestionIn, once: OnceHeader) -> Response:
        return (await previews.preview(caller, sent, once)).response()

    return routes
