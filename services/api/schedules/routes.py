"""``/ingestions/{id}/schedule``."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.api.caller import Caller
from services.api.docs import errors_for
from services.api.schedules.handlers import Schedules
from services.api.schedules.schemas import ScheduleOut

Count = Annotated[int, Query(ge=1, le=100, description="How many ticks are shown.")]


def router(schedules: Schedules, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/ingestions/{ingestion_id}", tags=["ingestions"])

    @routes.get(
        "/schedule",
        summary="When an ingestion runs by itself",
        description="Its next ticks, by the clock of its time zone too; and why the last one has not started a run, if "
        "something is in the way.",
        responses=errors_for(404, 422),
    )
    async def get_schedule(ingestion_id: UUID, count: Count = 5) -> ScheduleOut:
        return await schedules.get(caller, ingestion_id, count)

    return routes
