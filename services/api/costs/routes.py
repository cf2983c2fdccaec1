"""``/ingestions/estimate-cost``."""

from fastapi import APIRouter, Response

from services.api.caller import Caller
from services.api.costs.handlers import Costs
from services.api.costs.schemas import CostEstimate
from services.api.docs import OnceHeader, errors_for
from services.api.ingestions.schemas import IngestionIn


def router(costs: Costs, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions", tags=["ingestions"])

    @routes.post(
        "/estimate-cost",
        response_model=CostEstimate,
        summary="Estimate what an ingestion would cost",
        description="Lists the source, and reckons what loading all of it would take and cost. Nothing is created.",
        responses=errors_for(400, 413, 422),
    )
    async def estimate_cost(sent: IngestionIn, once: OnceHeader) -> Response:
        return (await costs.estimate(caller, sent, once)).response()

    return routes
