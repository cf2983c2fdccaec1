"""``/ingestions``: HTTP in, handler, HTTP out."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.idempotency import Answer
from services.api.ingestions.handlers import Ingestions
from services.api.ingestions.schemas import IngestionIn, IngestionOut, Paused, Resumed
from services.api.refresh.deletion import Deletions, TableFate
from services.api.refresh.schemas import RefreshOut

_PATCH_EXAMPLE = {"name": "Flights of 2013", "source": {"file_pattern": "**/*.json"}}


def router(ingestions: Ingestions, deletions: Deletions, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions", tags=["ingestions"])

    @routes.post(
        "",
        status_code=201,
        response_model=IngestionOut,
        summary="Create an ingestion",
        description="A draft: it runs when asked (`POST …/run`). `POST …/resume` turns its schedule on.",
        responses=errors_for(400, 413, 422),
    )
    async def create_ingestion(sent: IngestionIn, once: OnceHeader) -> Response:
        answer = await ingestions.create(caller, sent, once)
        return answer.response({"Location": f"/api/v1/ingestions/{answer.body['id']}"})

    @routes.get(
        "",
        summary="List the ingestions, newest first",
        description="All of the tenant's, deleted ones left out. Credentials are never shown.",
        responses=listed(422),
    )
    async def list_ingestions(request: Request, response: Response, page: PageQuery) -> list[IngestionOut]:
        shown, total = await ingestions.page(caller, page)
        pages.announce(response, request, page, total)
        return shown

    @routes.get(
        "/{ingestion_id}",
        summary="One ingestion",
        description="Its definition, whether it may run, and what its last run was.",
        responses=errors_for(404, 422),
    )
    async def get_ingestion(ingestion_id: UUID) -> IngestionOut:
        return await ingestions.get(caller, ingestion_id)

    @routes.put(
        "/{ingestion_id}",
        summary="Replace the definition",
        description="The whole definition anew; what is left out gets its default. One exception: stored credentials "
        "stay when the body has none. Source path and destination table are fixed after the first run (409).",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def replace_ingestion(ingestion_id: UUID, sent: IngestionIn) -> IngestionOut:
        return await ingestions.replace(caller, ingestion_id, sent)

    @routes.patch(
        "/{ingestion_id}",
        summary="Change a part of the definition",
        description="A JSON merge patch (RFC 7396): objects merge, null goes back to the default. "
        '`{"source": {"credentials": null}}` removes the stored credentials.',
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def patch_ingestion(
        ingestion_id: UUID, patch: Annotated[dict[str, Any], Body(examples=[_PATCH_EXAMPLE])]
    ) -> IngestionOut:
        return await ingestions.patch(caller, ingestion_id, patch)

    @routes.delete(
        "/{ingestion_id}",
        status_code=204,
        response_model=None,
        summary="Delete an ingestion",
        description="Its credentials are erased. What is under way is burned first, so that nothing of it can become "
        "visible afterwards. `table=keep` (the default) leaves the table as it is; `table=drop` sets it aside under "
        "another name, which the answer (202) tells, and deletes nothing of it. 202 as well when what is under way is "
        "not burned yet: the deletion goes on, and asking again waits for the same one.",
        responses={202: {"model": RefreshOut, "description": "How far the deletion is."}, **errors_for(404, 409, 422)},
    )
    async def delete_ingestion(ingestion_id: UUID, table: TableFate = "keep") -> Response:
        told = await deletions.delete(caller, ingestion_id, table)
        return Response(status_code=204) if told is None else Answer(202, told.model_dump(mode="json")).response()

    @routes.post(
        "/{ingestion_id}/pause",
        response_model=Paused,
        summary="Let nothing begin",
        description="Requests for runs are refused with `ingestion_paused`, its schedule rests, and a queued run "
        "waits. A run that is active goes on to its end: cancel it to stop it.",
        responses=errors_for(404, 413, 422),
    )
    async def pause_ingestion(ingestion_id: UUID, once: OnceHeader) -> Response:
        return (await ingestions.pause(caller, ingestion_id, once)).response()

    @routes.post(
        "/{ingestion_id}/resume",
        response_model=Resumed,
        summary="Let loading go on",
        description="A draft with a schedule becomes `active`: from now on it ticks. After a pause: a run that waits "
        "starts, and of ticks that were missed becomes what `schedule.catch_up` says. After a halt (`metadata.halt`): "
        "if ledger and table still contradict each other, the next batch halts the ingestion again before anything "
        "becomes visible.",
        responses=errors_for(404, 413, 422),
    )
    async def resume_ingestion(ingestion_id: UUID, once: OnceHeader) -> Response:
        return (await ingestions.resume(caller, ingestion_id, once)).response()

    return routes
