"""``/ingestions/{id}/run`` and ``/ingestions/{id}/runs``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.idempotency import Answer
from services.api.runs.event_stream import EventStream, described
from services.api.runs.handlers import Runs
from services.api.runs.live import LiveRuns
from services.api.runs.requests import RunRequests
from services.api.runs.schemas import BackfillIn, RunAccepted, RunCancelled, RunIn, RunOut


def router(runs: Runs, requests: RunRequests, live: LiveRuns, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}", tags=["runs"])

    @routes.post(
        "/run",
        status_code=202,
        response_model=RunAccepted,
        summary="Run an ingestion now",
        description="While one run is active a second one is queued; a third request joins the queued one and gets "
        "its id. Follow the run at the address in `Location`. With `plan_id` it loads exactly the files of that plan; "
        "if one of them has changed since, it loads nothing, and its errors say what has.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def request_run(ingestion_id: UUID, once: OnceHeader, asked: RunIn | None = None) -> Response:
        plan_id = None if asked is None else asked.plan_id
        return accepted(await requests.request(caller, ingestion_id, once, plan_id=plan_id), ingestion_id)

    @routes.post(
        "/backfill",
        status_code=202,
        response_model=RunAccepted,
        summary="Load a part of the history",
        description="A run that reads what of the source the body covers and the table lacks, also what the definition "
        "leaves out for its age. It has a lane of its own: it runs beside the runs that load what is new, and these "
        "never wait behind it. What is loaded already is skipped, so windows may overlap and be asked for again. One "
        "backfill of an ingestion is active and one waits at most.",
        responses=errors_for(400, 404, 409, 413, 422),
    )
    async def request_backfill(ingestion_id: UUID, asked: BackfillIn, once: OnceHeader) -> Response:
        return accepted(await requests.backfill(caller, ingestion_id, asked.scope(), once), ingestion_id)

    @routes.get(
        "/runs",
        summary="The runs of an ingestion, newest first",
        description="With the first errors of each; one run has more of them.",
        responses=listed(404, 422),
    )
    async def list_runs(ingestion_id: UUID, request: Request, response: Response, page: PageQuery) -> list[RunOut]:
        shown, total = await runs.page(caller, ingestion_id, page)
        pages.announce(response, request, page, total)
        return shown

    @routes.get(
        "/runs/{run_id}",
        summary="One run: progress, numbers, errors",
        description="As it is now. `…/events` tells it as it changes.",
        responses=errors_for(404, 422),
    )
    async def get_run(ingestion_id: UUID, run_id: UUID) -> RunOut:
        return await runs.get(caller, ingestion_id, run_id)

    @routes.get(
        "/runs/{run_id}/events",
        status_code=200,
        response_class=Response,
        summary="Follow a run: server-sent events",
        description="An event with the whole run, as `GET …/runs/{run_id}` shows it, now and whenever it changes: "
        "`progress` until its `end`, which closes the stream. Comments keep the connection alive. A client that comes "
        "back with `Last-Event-ID` is told what is newer; once it knows the end, 204 tells it to stay away. Above "
        "`AUTOLOADER_EVENT_LISTENERS_MAX` clients the answer is 503.",
        responses={**described(), **errors_for(404, 422)},
    )
    async def follow_run(
        ingestion_id: UUID,
        run_id: UUID,
        last_event_id: Annotated[int | None, Header(ge=0, description="The id of the last event that came.")] = None,
    ) -> Response:
        sight = await runs.sight(caller, ingestion_id, run_id)
        if sight.is_over and last_event_id is not None and last_event_id >= sight.seq:
            return Response(status_code=204)
        return EventStream(live.listen(sight, last_event_id))

    @routes.post(
        "/runs/{run_id}/retry",
        status_code=202,
        response_model=RunAccepted,
        summary="Try again what failed in a run",
        description="A new run, with the definition as it is now. It reads only the files that failed in this one, in "
        "whatever version they are there now, and those that it gave up.",
        responses=errors_for(404, 409, 413, 422),
    )
    async def retry_run(ingestion_id: UUID, run_id: UUID, once: OnceHeader) -> Response:
        return accepted(await requests.retry(caller, ingestion_id, run_id, once), ingestion_id)

    @routes.post(
        "/runs/{run_id}/cancel",
        status_code=202,
        response_model=RunCancelled,
        summary="Cancel a run",
        description="Nothing more of it is planned, no publish begins, and it ends as `cancelled`: at once, or when an "
        "executor has asked the table what became of a batch that was under way. What it loaded before stays; its "
        "other files wait for the next run.",
        responses=errors_for(404, 409, 413, 422),
    )
    async def cancel_run(ingestion_id: UUID, run_id: UUID, once: OnceHeader) -> Response:
        return (await runs.cancel(caller, ingestion_id, run_id, once)).response()

    return routes


def accepted(answer: Answer, ingestion_id: UUID) -> Response:
    """The answer to a request for a run, with the address at which to follow it."""
    return answer.response({"Location": f"/api/v1/ingestions/{ingestion_id}/runs/{answer.body['run_id']}"})
