"""Shared words of the routes: what OpenAPI says of tags, lists and errors, and dependencies that most of them use."""

from typing import Annotated, Any

from fastapi import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from services.api.idempotency import Once, once_of
from services.api.pages import Page, page_of

PageQuery = Annotated[Page, Depends(page_of)]
OnceHeader = Annotated[Once | None, Depends(once_of)]

TAGS = [
    {"name": "ingestions", "description": "What is kept up to date: a source, a format, a table."},
    {"name": "runs", "description": "Having files loaded, and following it."},
    {"name": "plans", "description": "What would be loaded, before it is."},
    {"name": "refresh", "description": "Beginning a table anew, and taking it back."},
    {"name": "files", "description": "What became of each file, and why."},
    {"name": "completeness", "description": "Up to when everything is loaded, and what holds that back."},
    {"name": "schema", "description": "The columns of a table, and how they came to be."},
    {"name": "audits", "description": "Whether bucket, ledger and table agree, and bringing a lost ledger back."},
    {"name": "notifications", "description": "What buckets tell of their objects."},
    {"name": "webhooks", "description": "Addresses that are told what happens."},
    {"name": "clusters", "description": "Where Spark runs."},
    {"name": "health", "description": "For probes and Prometheus. Served at the root as well."},
]

_INGESTION = "2f1b1c0e-6c56-4b5e-9d7e-0d9f2c1b8a11"
_RUN = "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10"
_ERRORS: dict[int, tuple[str, str, str, str]] = {
    400: (
        "The body is not JSON.",
        "There was an error parsing the body",
        "bad_request",
        "send one JSON object, encoded in UTF-8",
    ),
    401: (
        "The shared secret is missing.",
        "a delivery has to carry the shared secret",
        "no_notification_secret",
        "send it as: Authorization: Bearer …; MinIO does so with its auth_token",
    ),
    403: (
        "This is not the shared secret, or there is none.",
        "this is not the shared secret",
        "wrong_notification_secret",
        "send one of those in AUTOLOADER_NOTIFICATION_SECRETS of the API",
    ),
    404: (
        "Unknown, or another tenant's.",
        f"no ingestion has the id {_INGESTION}",
        "unknown_ingestion",
        "GET /api/v1/ingestions lists them",
    ),
    409: (
        "The state of the thing does not allow it; the hint says what does.",
        f"run {_RUN} of this ingestion is not over",
        "run_active",
        f"wait for it, or POST /api/v1/ingestions/{_INGESTION}/runs/{_RUN}/cancel; then try again",
    ),
    413: (
        "The body is too large.",
        "the body is larger than 1048576 bytes",
        "too_large",
        "a request is some kilobytes; send less",
    ),
    422: (
        "The request is understood and refused; `detail` lists the fields, or says why.",
        "no cluster is called 'big'",
        "unknown_cluster",
        "known clusters: local; they are set in AUTOLOADER_CLUSTERS",
    ),
    500: (
        "A bug of ours; the log has the details under the request id.",
        "the server met a bug of its own",
        "internal_error",
        "repeat the request; if it fails again, report the request_id: the log has the details under it",
    ),
    503: (
        "A store is away; `Retry-After` says when to try again.",
        "Postgres is not available: Connection refused",
        "database_unavailable",
        "check that Postgres runs, that DATABASE_URL points at it, and that `autoloader migrate` has run",
    ),
}
"""Status: what it means, and an example's detail, code and hint."""


class ErrorBody(BaseModel):
    """Every error looks like this."""

    detail: str | list[dict[str, Any]] = Field(description="What happened; a list of fields when a body is invalid.")
    code: str = Field(description="A stable word that programs may compare.")
    hint: str = Field(description="What to do next.")
    request_id: str = Field(description="Finds the request in the log.")


def errors_for(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for OpenAPI. All routes may answer 500 and 503, those that read a body 413, and
    400 if it is JSON."""
    return {status: _error(status) for status in sorted({*statuses, 500, 503})}


def _error(status: int) -> dict[str, Any]:
    meaning, detail, code, hint = _ERRORS[status]
    example = {"detail": detail, "code": code, "hint": hint, "request_id": "5f2c0e1d9a7b4c3e8f6a1b2c3d4e5f60"}
    described = {"model": ErrorBody, "description": meaning, "content": {"application/json": {"example": example}}}
    return described if status != 503 else {**described, "headers": RETRY_AFTER}


def listed(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a list's route: its pages, and the errors."""
    headers = {
        "X-Total-Count": _header("How long the whole list is.", "120"),
        "Link": _header(
            "The other pages (RFC 8288): first, prev, next, last.", '</api/v1/clusters?limit=50&offset=50>; rel="next"'
        ),
    }
    return {200: {"headers": headers}, **errors_for(*statuses)}


def _header(meaning: str, example: str) -> dict[str, Any]:
    return {"description": meaning, "schema": {"type": "string"}, "example": example}


RETRY_AFTER = {"Retry-After": _header("Seconds to wait.", "5")}


def operation_id(route: APIRoute) -> str:
    """The name of the function: what generated clients call the method."""
    return route.name
