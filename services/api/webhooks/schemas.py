"""What clients send and get about webhooks."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from libs.common.contracts.webhooks import EVENTS

EventType = Literal[
    "run.finished",
    "run.failed",
    "schema.changed",
    "file.quarantined",
    "file.expected_missing",
    "file.expected_arrived",
]
URL_CHARS_MAX = 2048
_ALL: tuple[EventType, ...] = get_args(EventType)
assert set(_ALL) == set(EVENTS), "what can be listened to is what is told"

_ID = "3d0c1b5e-52a7-4c0e-8f0b-6c1f4d2b7a90"
_WEBHOOK: dict[str, Any] = {
    "id": _ID,
    "url": "https://example.com/hooks/autoloader",
    "event_types": ["run.failed", "file.quarantined"],
    "ingestion_id": None,
    "description": "on call",
    "status": "active",
    "disabled_reason": None,
    "failing_since": None,
    "created_at": "2025-01-07T12:34:56Z",
}
_DELIVERY: dict[str, Any] = {
    "id": "9e107d9d-372b-5a5c-8f0b-6c1f4d2b7a90",
    "webhook_id": _ID,
    "event_type": "run.failed",
    "state": "waiting",
    "attempts": 2,
    "next_attempt_at": "2025-01-07T12:36:26Z",
    "last_status": 500,
    "last_error": "answered 500",
    "created_at": "2025-01-07T12:34:56Z",
    "ended_at": None,
}


class WebhookIn(BaseModel):
    """Where to send what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"url": _WEBHOOK["url"], "event_types": _WEBHOOK["event_types"]}},
    )

    url: str = Field(
        min_length=1, max_length=URL_CHARS_MAX, description="https:// or http://, without user and password."
    )
    event_types: tuple[EventType, ...] = Field(
        default=_ALL, min_length=1, description="What it is told; all, if left out."
    )
    ingestion_id: UUID | None = Field(default=None, description="Of this ingestion only; null: of all.")
    description: str = Field(default="", max_length=500, description="For people.")

    @field_validator("url", "description")
    @classmethod
    def _without_nul(cls, text: str) -> str:
        if "\x00" in text:
            raise ValueError("must not contain the NUL character")
        return text


class WebhookOut(BaseModel):
    """A webhook, without its secret."""

    model_config = ConfigDict(json_schema_extra={"example": _WEBHOOK})

    id: UUID
    url: str
    event_types: tuple[EventType, ...]
    ingestion_id: UUID | None
    description: str
    status: Literal["active", "disabled"] = Field(description="Nothing is sent to a disabled one, nor kept for it.")
    disabled_reason: str | None
    failing_since: datetime | None = Field(description="The first failure since its latest success.")
    created_at: datetime


class WebhookCreated(WebhookOut):
    """A new webhook, and what its receiver checks signatures with."""

    model_config = ConfigDict(
        json_schema_extra={"example": {**_WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}}
    )

    secret: str | None = Field(
        description="Shown here and never again; null when a repeated request finds that the webhook is gone."
    )


class DeliveryOut(BaseModel):
    """One event for one webhook."""

    model_config = ConfigDict(json_schema_extra={"example": _DELIVERY})

    id: UUID = Field(description="The event's id, and the webhook-id that the receiver sees, in each attempt.")
    webhook_id: UUID
    event_type: str
    state: Literal["waiting", "delivered", "dead"] = Field(description="dead: given up; it can be sent again.")
    attempts: int = Field(description="Since it was first or last asked for.")
    next_attempt_at: datetime | None = Field(description="While it is waiting and its webhook is active.")
    last_status: int | None = Field(description="What the receiver answered last.")
    last_error: str | None = Field(description="Why the latest attempt does not count.")
    created_at: datetime
    ended_at: datetime | None


class DeliveryDetail(DeliveryOut):
    """With what is sent."""

    model_config = ConfigDict(json_schema_extra={"example": {**_DELIVERY, "event": {"type": "run.failed.v1"}}})

    event: dict[str, Any] = Field(description="The body of the request: a CloudEvent.")
