"""``/ingestions/{id}/quarantine``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.quarantine.handlers import Quarantine
from services.api.quarantine.schemas import QuarantinedOut, ReplayIn
from services.api.runs.requests import RunRequests
from services.api.runs.routes import accepted
from services.api.runs.schemas import RunAccepted

FileQuery = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=1200,
        description="Only this file: a key of the source's bucket, or s3://bucket/key.",
        examples=["flights/2013-03.json"],
    ),
]


def router(quarantine: Quarantine, requests: RunRequests, caller: Caller) -> APIRouter:
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

    @routes.post(
        "/replay",
        status_code=202,
        response_model=RunAccepted,
        summary="Try again with the records that were set aside",
        description="When the cause is mended, in the definition, in the table or in the files: a run, in the lane of "
        "backfills, that reads the files with records in the quarantine again, all of them or the given ones. What "
        "fits now is loaded, once, and leaves the quarantine; what does not stands there with its reason of today. It "
        "is a reload of these files, and needs `_file_path` among the table's `metadata_columns` as any.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def replay_quarantine(ingestion_id: UUID, once: OnceHeader, asked: ReplayIn | None = None) -> Response:
        files = asked.files if asked is not None else None
        return accepted(await requests.replay(caller, ingestion_id, files, once), ingestion_id)

    return routes
