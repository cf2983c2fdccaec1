"""``/ingestions/{id}/quarantine``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.docs import PageQuery, listed
from services.api.quarantine.handlers import Quarantine
from services.api.quarantine.schemas import QuarantinedOut

FileQuery = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=1200,
        description="Only this file: a key of the source's bucket, or s3://bucket/key.",
        examples=["flights/2013-03.json"],
    ),
]


def router(quarantine: Quarantine, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}/quarantine", tags=["files"])

    @routes.get(
        "",
        summary="Files with records that were set aside, newest first",
        description="Each file that was loaded without its bad records: how many there are, and the first of them, "
        "with line, reason and the beginning of the text. All of them are in the table `<table>__quarantine`.",
        responses=listed(404, 422),
    )
    async def list_quarantine(
        ingestion_id: UUID, request: Request, response: Response, page: PageQuery, file: FileQuery = None
    ) -> list[QuarantinedOut]:
        shown, total = await quarantine.page(caller, ingestion_id, page, file=file)
        pages.announce(response, request, page, total)
        return shown

    return routes
