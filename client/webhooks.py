"""Webhooks as Python calls: ``AutoloaderClient(...).webhooks``."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

_WEBHOOKS = "/api/v1/webhooks"
_PAGE = 100


class Webhook(BaseModel):
    """Where what is told. ``secret`` is known right after the creation only."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: UUID
    url: str
    event_types: tuple[str, ...]
    ingestion_id: UUID | None = None
    description: str = ""
    status: str
    disabled_reason: str | None = None
    failing_since: datetime | None = None


class NewWebhook(Webhook):
    secret: str | None


class Delivery(BaseModel):
    """One event for one webhook; ``dead`` when it was given up."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: UUID
    event_type: str
    state: str
    attempts: int
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    created_at: datetime


class Webhooks:
    """One method per request. ``call`` is the client's: it raises ``ApiProblem``."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def create(
        self,
        url: str,
        *,
        event_types: Sequence[str] = (),
        ingestion_id: UUID | None = None,
        description: str = "",
    ) -> NewWebhook:
        """Has an address told what happens; of everything, unless ``event_types`` says of what."""
        body: dict[str, Any] = {"url": url, "description": description}
        if event_types:
            body["event_types"] = list(event_types)
        if ingestion_id is not None:
            body["ingestion_id"] = str(ingestion_id)
        return NewWebhook.model_validate(self._call("POST", _WEBHOOKS, json=body))

    def all(self) -> Iterator[Webhook]:
        """Newest first, fetched page by page."""
        return map(Webhook.model_validate, self._pages(_WEBHOOKS))

    def get(self, webhook_id: UUID) -> Webhook:
        return Webhook.model_validate(self._call("GET", f"{_WEBHOOKS}/{webhook_id}"))

    def delete(self, webhook_id: UUID) -> None:
        """With the record of what it was told."""
        self._call("DELETE", f"{_WEBHOOKS}/{webhook_id}")

    def enable(self, webhook_id: UUID) -> Webhook:
        """One that was disabled; what waits for it is sent at once."""
        return Webhook.model_validate(self._call("POST", f"{_WEBHOOKS}/{webhook_id}/enable"))

    def ping(self, webhook_id: UUID) -> Delivery:
        """Something to send, within seconds; ``delivery`` says what came of it."""
        return Delivery.model_validate(self._call("POST", f"{_WEBHOOKS}/{webhook_id}/ping"))

    def deliveries(self, webhook_id: UUID, *, state: str | None = None) -> Iterator[Delivery]:
        """What it was told, newest first, fetched page by page."""
        of = {} if state is None else {"state": state}
        return map(Delivery.model_validate, self._pages(f"{_WEBHOOKS}/{webhook_id}/deliveries", **of))

    def delivery(self, webhook_id: UUID, delivery_id: UUID) -> Delivery:
        return Delivery.model_validate(self._call("GET", f"{_WEBHOOKS}/{webhook_id}/deliveries/{delivery_id}"))

    def redeliver(self, webhook_id: UUID, delivery_id: UUID) -> Delivery:
        """Sent again under its old id, whatever became of it."""
        path = f"{_WEBHOOKS}/{webhook_id}/deliveries/{delivery_id}/redeliver"
        return Delivery.model_validate(self._call("POST", path))

    def _pages(self, path: str, **params: Any) -> Iterator[Any]:
        offset = 0
        while page := self._call("GET", path, params={**params, "limit": _PAGE, "offset": offset}):
            yield from page
            if len(page) < _PAGE:
                return
            offset += _PAGE
