"""Shared words of the routes: the error answers for OpenAPI, and the dependencies that most routes use."""

from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel, Field

from services.api.idempotency import Once, once_of
from services.api.pages import Page, page_of

PageQuery = Annotated[Page, Depends(page_of)]
OnceHeader = Annotated[Once | None, Depends(once_of)]

_MEANINGS = {
    400: "The body is not JSON.",
    404: "Unknown, or another tenant's.",
    409: "The state of the thing does not allow it; the hint says what does.",
    413: "The body is too large.",
    422: "The request is understood and refused; `detail` lists the fields, or says why.",
    500: "A bug of ours; the log has the details under the request id.",
    503: "A store is away; `Retry-After` says when to try again.",
}


class ErrorBody(BaseModel):
    """Every error looks like this."""

    detail: str | list[dict[str, Any]] = Field(description="What happened; a list of fields when a body is invalid.")
    code: str = Field(description="A stable word that programs may compare.")
    hint: str = Field(description="What to do next.")
    request_id: str = Field(description="Finds the request in the log.")


def errors_for(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for OpenAPI. All routes may answer 500 and 503, those with a
    body 400 and 413."""
    return {status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in sorted({*statuses, 500, 503})}
