"""``/health/live``, ``/health/ready`` and ``/metrics``. Served at the root as well, where probes look."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from services.api.docs import RETRY_AFTER, ErrorBody
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


_NOT_READY: dict[str, Any] = {
    "model": NotReady,
    "description": "Something is away; `checks` names it.",
    "headers": RETRY_AFTER,
    "content": {
        "application/json": {
            "example": {
                "detail": "kafka: no broker answers at localhost:9092",
                "code": "not_ready",
                "hint": "requests are accepted again by themselves once everything named here is back",
                "request_id": "5f2c0e1d9a7b4c3e8f6a1b2c3d4e5f60",
                "status": "not_ready",
                "checks": {
                    "postgres": {"status": "ok", "problem": None},
                    "kafka": {"status": "unavailable", "problem": "no broker answers at localhost:9092"},
                },
            }
        }
    },
}


def router(checks: Mapping[str, Check]) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get(
        "/health/live",
        summary="The process answers",
        description="Whether its stores are there is asked at `/health/ready`.",
    )
    async def live() -> Live:
        return Live()

    @routes.get(
        "/health/ready",
        summary="Everything that the API needs works",
        description="Each dependency by name. Requests may be answered while Kafka is away: they are kept.",
        response_model=Readiness,
        responses={503: _NOT_READY},
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
        description="Of this process, in Prometheus' text format.",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes
