"""``/health/live``, ``/health/ready`` and ``/metrics``. Served at the root as well, where probes look."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from services.api.health.checks import Check, problems


class Live(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Dependency(BaseModel):
    status: Literal["ok", "unavailable"]
    problem: str | None = Field(description="What is wrong and what to do.")


class Readiness(BaseModel):
    """Whether requests can be served in full."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "ready",
                "checks": {
                    "postgres": {"status": "ok", "problem": None},
                    "kafka": {"status": "ok", "problem": None},
                },
            }
        }
    )

    status: Literal["ready", "not_ready"]
    checks: dict[str, Dependency]


def router(checks: Mapping[str, Check]) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/health/live", summary="The process answers")
    async def live() -> Live:
        return Live()

    @routes.get(
        "/health/ready",
        summary="Everything that the API needs works",
        responses={503: {"model": Readiness, "description": "Something is away; `checks` names it."}},
    )
    async def ready(response: Response) -> Readiness:
        found = await problems(checks)
        if any(found.values()):
            response.status_code = 503
        return Readiness(
            status="not_ready" if any(found.values()) else "ready",
            checks={
                name: Dependency(status="unavailable" if problem else "ok", problem=problem)
                for name, problem in found.items()
            },
        )

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes
