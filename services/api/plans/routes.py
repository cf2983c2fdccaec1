"""``/ingestions/{id}/plan`` and ``/ingestions/{id}/plans``."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.plans.handlers import Plans
from services.api.plans.schemas import PlanFile, PlanIn, PlanOut


def router(plans: Plans, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}", tags=["plans"])

    @routes.post(
        "/plan",
        status_code=201,
        response_model=PlanOut,
        summary="See what would be loaded, before it is",
        description="Lists the source and decides as a run would, and writes down exactly which file versions would be "
        "loaded, with what that will come to. `POST …/run` with the plan's id loads exactly these, or says what has "
        "changed since and loads nothing. A plan of a refresh goes with the refresh.",
        responses=errors_for(400, 404, 413, 422),
    )
    async def make_plan(ingestion_id: UUID, asked: PlanIn, once: OnceHeader) -> Response:
        answer = await plans.make(caller, ingestion_id, asked, once)
        return answer.response({"Location": f"/api/v1/ingestions/{ingestion_id}/plans/{answer.body['id']}"})

    @routes.get(
        "/plans/{plan_id}",
        summary="One plan",
        description="As it was made, until it is forgotten.",
        responses=errors_for(404, 422),
    )
    async def get_plan(ingestion_id: UUID, plan_id: UUID) -> PlanOut:
        return await plans.get(caller, ingestion_id, plan_id)

    @routes.get(
        "/plans/{plan_id}/files",
        summary="The files of a plan, in the order of the listing",
        description="Every file version that it would load.",
        responses=listed(404, 422),
    )
    async def list_plan_files(
        ingestion_id: UUID, plan_id: UUID, request: Request, response: Response, page: PageQuery
    ) -> list[PlanFile]:
        shown, total = await plans.files(caller, ingestion_id, plan_id, page)
        pages.announce(response, request, page, total)
        return shown

    return routes
