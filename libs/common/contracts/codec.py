"""Messages to bytes and back: CloudEvents 1.0, structured JSON (cloudevents.io/spec, JSON event format).

``type`` is ``<wire type>.v<version>``, ``subject`` names the thing that the event is about. Decoding refuses,
with a reason, whatever is not exactly one of our messages; the caller sets such a message aside.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from libs.common.contracts.events import MESSAGES, Message
from libs.common.contracts.webhooks import WEBHOOK_MESSAGES
from libs.common.errors import Permanent
from libs.common.ids import EventId, new_event_id

CONTENT_TYPE = "application/cloudevents+json"
_BY_TYPE = {f"{m.wire_type}.v{m.wire_version}": m for m in (*MESSAGES, *WEBHOOK_MESSAGES)}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with what CloudEvents says around it."""

    event_id: EventId
    source: str
    time: datetime
    message: Message


def type_of(message: type[Message]) -> str:
    """The CloudEvents type of a message class, as in ``scan.started.v1``."""
    return f"{message.wire_type}.v{message.wire_version}"


def encode(message: Message, *, source: str, time: datetime, event_id: EventId | None = None) -> bytes:
    """One CloudEvent as UTF-8 JSON. ``source`` is the writer, as in ``autoloader/scanner``."""
    event = {
        "specversion": "1.0",
        "id": str(event_id or new_event_id()),
        "source": source,
        "type": type_of(type(message)),
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        "data": message.model_dump(mode="json"),
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def decode(raw: bytes) -> Envelope:
    """The message in ``raw``.

    Raises:
        Permanent: code ``undecodable`` (not JSON, not a CloudEvent), ``unknown_type`` or ``invalid_data``.
    """
    try:
        event: Any = json.loads(raw)
    except ValueError as e:
        raise Permanent(f"message is not JSON: {e}", code="undecodable") from e
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise Permanent("message is not a CloudEvent 1.0 in structured JSON", code="undecodable")
    model = _BY_TYPE.get(str(event.get("type")))
    if model is None:
        raise Permanent(f"no message has the type {event.get('type')!r}", code="unknown_type")
    try:
        return Envelope(
            event_id=EventId(UUID(str(event.get("id")))),
            source=str(event.get("source", "")),
            time=datetime.fromisoformat(str(event.get("time"))),
            message=model.model_validate(event.get("data")),
        )
    except (ValidationError, ValueError) as e:
        raise Permanent(f"{event['type']} does not fit its schema: {_one_line(e)}", code="invalid_data") from e


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
    return str(error)
