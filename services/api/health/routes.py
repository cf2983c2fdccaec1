"""``/health/live``, ``/health/ready`` and ``/metrics``. Served at the root as well, where probes look."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from services.api.docs import ErrorBody
from services.api.errors import RETRY_AFTER_S
from services.api.health.checks import Check, problems
from services.api.requests import request_id


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

    status: Literal["ready"] = "ready"
    checks: dict[str, Dependency]


class NotReady(ErrorBody):
    """Something is away; ``checks`` names it, ``detail`` says it in one line."""

    status: Literal["not_ready"] = "not_ready"
    checks: dict[str, Dependency]


def router(checks: Mapping[str, Check]) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/health/live", summary="The process answers")
    async def live() -> Live:
        return Live()

    @routes.get(
        "/health/ready",
        summary="Everything that the API needs works",
        response_model=Readiness,
        responses={503: {"model": NotReady, "description": "Something is away; `checks` names it."}},
    )
    async def ready() -> Readiness | JSONResponse:
        found = await problems(checks)
        checks_out = {
            name: Dependency(status="unavailable" if problem else "ok", problem=problem)
            for name, problem in found.items()
        }
        if not any(found.values()):
            return Readiness(checks=checks_out)
        answer = NotReady(
            detail="; ".join(f"{name}: {problem}" for name, problem in found.items() if problem),
            code="not_ready",
            hint="requests are accepted again by themselves once everything named here is back",
            request_id=request_id(),
            checks=checks_out,
        )
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return JSONResponse(answer.model_dump(mode="json"), status_code=503, headers=headers)

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes
