"""A run as server-sent events: the words on the wire, and the response that carries them.

Each event is the whole run, as ``GET …/runs/{run_id}`` shows it, and not a difference: whoever misses one has lost
nothing with the next. Its id is the run's ``seq``, so a client that comes back with ``Last-Event-ID`` is told only what
it does not know.
"""

from typing import Any, Protocol

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.api.runs.schemas import EXAMPLE_RUN, RunOut

MEDIA_TYPE = "text/event-stream"
PROGRESS, END = "progress", "end"
RETRY = b"retry: 1000\n\n"
"""Milliseconds that a client waits before it comes back, when the stream broke off."""
KEEP_ALIVE = b": still here\n\n"
"""A comment: it says nothing to the client, and to everybody between that the connection lives."""


def event_of(run: RunOut, seq: int) -> bytes:
    """``end`` is the run's last event, and the stream's."""
    name = END if run.ended_at is not None else PROGRESS
    return f"id: {seq}\nevent: {name}\ndata: {run.model_dump_json()}\n\n".encode()


_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One event of the stream.",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The run's seq; it only grows."},
        "event": {"enum": [PROGRESS, END]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/RunOut"},
        },
    },
    "required": ["id", "event", "data"],
}


def described() -> dict[int | str, dict[str, Any]]:
    """The answers of the stream, for OpenAPI."""
    example = event_of(RunOut.model_validate(EXAMPLE_RUN), 7).decode()
    return {
        200: {
            "description": "Events, as they happen: `progress`, and one `end`. `data` is the run, as `GET` shows it.",
            "content": {MEDIA_TYPE: {"schema": _EVENT, "example": example}},
        },
        204: {"description": "The run is over, and its `end` was the last event that the client got."},
    }


class Told(Protocol):
    """What is told to one client, piece by piece. ``close`` gives its place to another."""

    def __aiter__(self) -> "Told": ...

    async def __anext__(self) -> bytes: ...

    def close(self) -> None: ...


class EventStream(StreamingResponse):
    """Sends what is told, and closes it however the response ends: also if it never began."""

    media_type = MEDIA_TYPE

    def __init__(self, told: Told) -> None:
        # Proxies must pass each event on as it comes.
        super().__init__(told, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._told.close()
