"""What receivers get, for the OpenAPI document: it has a place for the requests that *we* make."""

from fastapi import APIRouter
from pydantic import create_model

from libs.common.contracts.codec import type_of
from libs.common.contracts.events import Message
from libs.common.contracts.webhooks import WEBHOOK_MESSAGES


def describe_events(webhooks: APIRouter) -> None:
    """Adds one request per event to ``webhooks``, the part of an application that is described and never served."""
    for message in WEBHOOK_MESSAGES:
        webhooks.add_api_route(
            message.wire_type,
            _receiver(message),
            methods=["POST"],
            summary=type_of(message),
            description=" ".join((message.__doc__ or "").split()),
            name=message.wire_type.replace(".", "_"),
            tags=["webhooks"],
        )
