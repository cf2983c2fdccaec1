"""What receivers get, for the OpenAPI document: it has a place for the requests that *we* make."""

from typing import Any

from fastapi import APIRouter

from libs.common.contracts.codec import CONTENT_TYPE, type_of
from libs.common.contracts.events import Message
from libs.common.contracts.schemas import envelope_of, example_of
from libs.common.contracts.webhooks import EVENTS, WebhookPing

_TOLD: tuple[type[Message], ...] = (*EVENTS.values(), WebhookPing)
_HEADERS = {
    "webhook-id": "The event's id. The same one again: you have it already.",
    "webhook-timestamp": "When it was sent, in seconds since 1970. Refuse what is older than some minutes.",
    "webhook-signature": "v1, and the HMAC-SHA256 of id.timestamp.body with your secret, in base64.",
}


def describe_events(webhooks: APIRouter) -> None:
    """Adds one request per event to ``webhooks``, the part of an application that is described and never served."""
    for message in _TOLD:
        webhooks.add_api_route(
            message.wire_type,
            _received,
            methods=["POST"],
            status_code=204,
            summary=type_of(message),
            description=" ".join((message.__doc__ or "").split()),
            name=message.wire_type.replace(".", "_"),
            tags=["webhooks"],
            response_description="Any 2xx: taken. 410: send nothing any more. Everything else: send it again later.",
            openapi_extra=_request(message),
        )


def _request(message: type[Message]) -> dict[str, Any]:
    schema, parts = envelope_of(message)
    content = {"schema": _inlined(schema, parts), "example": example_of(message)}
    return {
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": about, "schema": {"type": "string"}}
            for name, about in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {CONTENT_TYPE: content}},
    }


def _inlined(part: Any, parts: dict[str, Any]) -> Any:
    """A schema without references: the document has other names for its own parts."""
    if isinstance(part, dict):
        if "$ref" in part:
            rest = {key: value for key, value in part.items() if key != "$ref"}
            return {**_inlined(parts[part["$ref"].removeprefix("#/$defs/")], parts), **rest}
        return {key: _inlined(value, parts) for key, value in part.items()}
    return [_inlined(each, parts) for each in part] if isinstance(part, list) else part


async def _received() -> None:
    """Never called: receivers are elsewhere."""
