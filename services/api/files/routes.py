"""``/ingestions/{id}/files``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from libs.common.ledger.states import FileState
from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.files.handlers import Files
from services.api.files.schemas import Explanation, FileOut, ReloadIn
from services.api.runs.requests import RunRequests
from services.api.runs.routes import accepted
from services.api.runs.schemas import RunAccepted

StateQuery = Annotated[FileState | None, Query(description="Only files in this state.")]
PrefixQuery = Annotated[str | None, Query(max_length=1024, description="Only keys that start with this.")]
RunQuery = Annotated[UUID | None, Query(description="Only files that this run saw last as new.")]
KeyQuery = Annotated[
    str,
    Query(
        min_length=1,
        max_length=1200,
        description="A key of the source's bucket, or s3://bucket/key.",
        examples=["flights/2013-03.json"],
    ),
]


def router(files: Files, requests: RunRequests, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}/files", tags=["files"])

    @routes.get(
        "",
        summary="The files that the ledger knows, newest first",
        description="Each version of each file of the table's current generation, with what became of it.",
        responses=listed(404, 422),
    )
    async def list_files(
        ingestion_id: UUID,
        request: Request,
        response: Response,
        page: PageQuery,
        state: StateQuery = None,
        prefix: PrefixQuery = None,
        run_id: RunQuery = None,
    ) -> list[FileOut]:
        shown, total = await files.page(caller, ingestion_id, page, state=state, prefix=prefix, run_id=run_id)
        pages.announce(response, request, page, total)
        return shown

    @routes.post(
        "/reload",
        status_code=202,
        response_model=RunAccepted,
        summary="Load files again",
        description="A run, in the lane of backfills, that reads these files as they are now. What is loaded of them "
        "is replaced: the old rows go and the new ones come in one commit. That needs `_file_path` among the table's "
        "`metadata_columns`. What failed, or was never seen, is loaded as by any run.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def reload_files(ingestion_id: UUID, asked: ReloadIn, once: OnceHeader) -> Response:
        return accepted(await requests.reload(caller, ingestion_id, asked.scope(), once), ingestion_id)

    @routes.get(
        "/explain",
        summary="Why a file is in the table, or is not",
        description="For any key, also one that was never seen: the verdict, what it rests on, and what to do next.",
        responses=errors_for(404, 422),
    )
    async def explain_file(ingestion_id: UUID, key: KeyQuery) -> Explanation:
        return await files.explain(caller, ingestion_id, key)

    return routes
