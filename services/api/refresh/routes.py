"""``/ingestions/{id}/refresh``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from libs.common.contracts.events import RefreshMode
from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.errors import InvalidBody
from services.api.refresh.handlers import Refreshes
from services.api.refresh.schemas import RefreshIn, RefreshOut, UndoIn

_HOW = (
    "The old table is set aside under another name, and stays readable there. The answer waits for the executor, some "
    "seconds at most: what is not known then is `pending`. `dry_run` changes nothing. Refused while another refresh of "
    "the ingestion is under way."
)


Confirmed = Annotated[bool, Query(description="Must be true: the next run loads every file again.")]


def router(refreshes: Refreshes, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}", tags=["refresh"])

    @routes.post(
        "/refresh/full",
        status_code=202,
        response_model=RefreshOut,
        summary="Begin the table anew, with all files",
        description=f"Every file is loaded again. {_HOW}",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def refresh_full(ingestion_id: UUID, once: OnceHeader, sent: RefreshIn | None = None) -> Response:
        return await _answer(ingestion_id, "full", sent, once)

    @routes.post(
        "/refresh/new-only",
        status_code=202,
        response_model=RefreshOut,
        summary="Begin the table anew, with new files only",
        description=f"Files that were loaded before are not loaded again. {_HOW}",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def refresh_new_only(ingestion_id: UUID, once: OnceHeader, sent: RefreshIn | None = None) -> Response:
        return await _answer(ingestion_id, "new_only", sent, once)

    @routes.post(
        "/refresh/{refresh_id}/undo",
        status_code=202,
        response_model=RefreshOut,
        summary="Bring back the table from before a refresh",
        description="The table that the refresh set aside takes its place again, with its history: a run loads what it "
        "lacks, and nothing that it holds. The table that it replaces is set aside in turn. Possible until "
        "`undo_until`, for the latest refresh that is not undone. The answer is a refresh's.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def undo_refresh(
        ingestion_id: UUID, refresh_id: UUID, once: OnceHeader, sent: UndoIn | None = None
    ) -> Response:
        return (await refreshes.undo(caller, ingestion_id, refresh_id, sent or UndoIn(), once)).response()

    @routes.get(
        "/refresh",
        summary="List the refreshes, newest first",
        description="Also undos, and cleared histories, each as it stands.",
        responses=listed(404, 422),
    )
    async def list_refreshes(
        ingestion_id: UUID, request: Request, response: Response, page: PageQuery
    ) -> list[RefreshOut]:
        shown, total = await refreshes.page(caller, ingestion_id, page)
        pages.announce(response, request, page, total)
        return shown

    @routes.delete(
        "/processed-files",
        status_code=202,
        response_model=RefreshOut,
        summary="Forget which files were loaded",
        description="The next run reads every file again. The table stays as it is, so its rows will be there twice, "
        "unless it is emptied before: to begin it anew use `POST …/refresh/full` instead. What is under way is "
        "cancelled. The answer is a refresh's.",
        responses=errors_for(404, 409, 422),
    )
    async def clear_history(ingestion_id: UUID, confirm: Confirmed = False) -> Response:
        if not confirm:
            raise RequestValidationError([{"type": "missing", "loc": ("query", "confirm"), "msg": "Must be true"}])
        return (await refreshes.clear_history(caller, ingestion_id)).response()

    @routes.get(
        "/refresh/{refresh_id}",
        summary="One refresh, as it stands",
        description="What is done of it, and until when it can be undone.",
        responses=errors_for(404, 422),
    )
    async def get_refresh(ingestion_id: UUID, refresh_id: UUID) -> RefreshOut:
        return await refreshes.get(caller, ingestion_id, refresh_id)

    async def _answer(ingestion_id: UUID, mode: RefreshMode, sent: RefreshIn | None, once: OnceHeader) -> Response:
        if sent is None:
            raise InvalidBody([{"type": "missing", "loc": ("confirm",), "msg": "Field required"}])
        return (await refreshes.request(caller, ingestion_id, mode, sent, once)).response()

    return routes
