"""From errors to responses, in one place.

Every error body is ``{"detail", "code", "hint", "request_id"}``. Validation errors keep FastAPI's list as
``detail``, without what was sent (``input``): it may hold a credential. What nobody raised on purpose becomes a
500 that shows the request id and nothing else; the traceback goes to the log (``requests.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from libs.common.errors import AutoloaderError, Invalid, Permanent, Rejected, Temporary, Unauthenticated, Unavailable
from services.api.requests import request_id

RETRY_AFTER_S = 5
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media"}
_HINTS = {
    400: "send one JSON object, encoded in UTF-8",
    413: "a request is some kilobytes; send less",
    404: "GET /openapi.json lists every path",
    405: "the Allow header lists what this path can do; GET /openapi.json lists every path",
}


class InvalidBody(Invalid):
    """A body that was put together from several parts is not valid. ``errors`` has places relative to the body."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("the body is not valid", code="invalid_request")
        self.errors = [{**e, "loc": ("body", *e["loc"])} for e in errors]


def install(app: FastAPI) -> None:
    """Makes ``app`` answer errors in our shape."""
    app.add_exception_handler(AutoloaderError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


def body(detail: Any, *, code: str, hint: str = "") -> dict[str, Any]:
    """One error body, with the id of the request at hand."""
    return {"detail": detail, "code": code, "hint": hint, "request_id": request_id()}


def response_to(error: AutoloaderError) -> JSONResponse:
    """How a client learns of an error that we raised on purpose."""
    match error:
        case InvalidBody():
            return invalid(error.errors)
        case Unavailable():
            return _response(503, error, headers={"Retry-After": str(error.retry_after_s)})
        case Unauthenticated():
            return _response(error.status, error, headers={"WWW-Authenticate": "Bearer"})
        case Rejected():
            return _response(error.status, error)
        case Temporary():
            return _response(503, error, headers={"Retry-After": str(RETRY_AFTER_S)})
        case Permanent(code="secret_unreadable"):
            return _response(409, error)
        case _:
            return _response(500, error)


def invalid(errors: Sequence[Mapping[str, Any]]) -> JSONResponse:
    """422 with FastAPI's list: where, what, and which rule; never the value."""
    detail = [
        {"type": e["type"], "loc": [_printable(part) for part in e["loc"]], "msg": _printable(e["msg"])} for e in errors
    ]
    hint = "; ".join(f"{'.'.join(map(str, e['loc'][1:] or e['loc']))}: {e['msg']}" for e in detail[:3])
    return JSONResponse(body(detail, code="invalid_request", hint=hint), status_code=422)


def _response(status: int, error: AutoloaderError, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body(error.message, code=error.code, hint=error.hint), status_code=status, headers=headers)


def _printable(value: Any) -> Any:
    # A lone surrogate is a legal JSON escape, and cannot be encoded again.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


async def _on_ours(_: Request, error: Exception) -> JSONResponse:
    return response_to(cast("AutoloaderError", error))


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    return invalid(cast("RequestValidationError", error).errors())


async def _on_http(request: Request, exception: Exception) -> JSONResponse:
    error = cast("HTTPException", exception)
    code, hint = (
        _CODES.get(error.status_code, "http_error"),
        _HINTS.get(error.status_code, "GET /openapi.json describes every request"),
    )
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return JSONResponse(body(error.detail, code=code, hint=hint), status_code=error.status_code, headers=headers)


def _allowed(request: Request) -> str:
    """What the path can do, whichever routes it is spread over; the framework names the first one's methods only."""
    routes = request.app.routes
    asked = {method: {**request.scope, "method": method} for method in _METHODS}
    return ", ".join(m for m, scope in asked.items() if any(r.matches(scope)[0] is Match.FULL for r in routes))
