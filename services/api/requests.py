"""What surrounds every request: its id, its size limit, its line in the log, and the answer to our own bugs.

One plain ASGI middleware, outermost, so that nothing gets past it: a client sees an id and a JSON body whatever
happens inside, and the traceback stays in the log under the same id.
"""

import re
import time
import uuid
from contextvars import ContextVar

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common import metrics
from libs.common.logs import get_logger

HEADER = "X-Request-ID"
BODY_BYTES_MAX = 1024 * 1024
# What we take over from a client: it goes into logs and headers.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_QUIET = re.compile(r".*/(health/(live|ready)|metrics)")

_current: ContextVar[str] = ContextVar("request_id", default="")
_log = get_logger(__name__)


def request_id() -> str:
    """The id of the request that is being answered."""
    return _current.get()


class RequestScope:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        identity = given if _ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex
        token = _current.set(identity)
        answer = _Answer(send, identity)
        began = time.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=identity):
            try:
                await self._app(scope, _limited(scope, receive), answer)
            except Exception:
                _log.exception("http.bug", method=scope["method"], path=scope["path"])
                if answer.status is not None:
                    raise  # half an answer is out; the server closes the connection
                await _internal_error()(scope, receive, answer)
            finally:
                _report(scope, answer.status, time.monotonic() - began)
                _current.reset(token)


class _Answer:
    """Passes the answer on, adds the id, remembers the status."""

    def __init__(self, send: Send, identity: str) -> None:
        self._send = send
        self._identity = identity
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[HEADER] = self._identity
        await self._send(message)


def _limited(scope: Scope, receive: Receive) -> Receive:
    """``receive``, which gives up beyond ``BODY_BYTES_MAX``: a definition is some kilobytes."""
    declared = Headers(scope=scope).get("content-length", "")
    received = 0
    # The framework hands this type on to errors.py; it would hide any other behind a 400.
    too_large = HTTPException(413, f"the body is larger than {BODY_BYTES_MAX} bytes")

    async def limited() -> Message:
        nonlocal received
        if declared.isdecimal() and int(declared) > BODY_BYTES_MAX:
            raise too_large
        message = await receive()
        received += len(message.get("body", b""))
        if received > BODY_BYTES_MAX:
            raise too_large
        return message

    return limited


def _internal_error() -> JSONResponse:
    content = {
        "detail": "the server met a bug of its own",
        "code": "internal_error",
        "hint": "repeat the request; if it fails again, report the request_id: the log has the details under it",
        "request_id": request_id(),
    }
    return JSONResponse(content, status_code=500)


def _report(scope: Scope, status: int | None, seconds: float) -> None:
    """One line and the metrics of one request. Routes are templates, so ids do not become labels."""
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"]
    metrics.HTTP_REQUESTS.labels(method=method, route=route, status=str(status or 499)).inc()
    metrics.HTTP_REQUEST_SECONDS.labels(method=method, route=route).observe(seconds)
    log = _log.debug if _QUIET.fullmatch(scope["path"]) else _log.info
    log("http.request", method=method, path=scope["path"], status=status, duration_ms=round(seconds * 1000, 1))
