"""Making webhooks, and looking after what they are told."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.webhooks import WebhookPing
from libs.common.errors import Conflict, Invalid, NotFound
from libs.common.failpoints import failpoint
from libs.common.secrets import SecretBox
from libs.common.storage.engine import Database
from services.api import audit
from services.api.caller import Caller
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.webhooks import repository
from services.api.webhooks.addresses import checked_url
from services.api.webhooks.announcing import enqueue
from services.api.webhooks.courier import owner_of
from services.api.webhooks.schemas import DeliveryDetail, DeliveryOut, WebhookCreated, WebhookIn, WebhookOut
from services.api.webhooks.signing import new_secret


class Webhooks:
    """The webhooks of all tenants; every call sees those of its caller only."""

    def __init__(self, database: Database, box: SecretBox, *, private_allowed: bool) -> None:
        self._database = database
        self._box = box
        self._private_allowed = private_allowed

    async def create(self, caller: Caller, sent: WebhookIn, once: Once | None) -> Answer:
        """201 with the webhook and its secret. The same Idempotency-Key gets both again.

        Raises:
            NotFound: the ingestion. Invalid: codes ``bad_address``, ``idempotency_key_reused``.
        """
        try:
            url = checked_url(sent.url, private_allowed=self._private_allowed)
        except ValueError as e:
            raise Invalid(f"url {e}", code="bad_address", hint="name an address that everybody can reach") from e
        answer = await self._once(caller, once, lambda c: self._create(c, caller, sent, url))
        # Answers are stored as they are; a secret is stored sealed, and put in here.
        secret = await self._secret(caller, UUID(answer.body["id"]))
        shown = WebhookCreated.model_validate({**answer.body, "secret": secret})
        return Answer(answer.status, shown.model_dump(mode="json"), replayed=answer.replayed)

    async def _create(self, connection: AsyncConnection, caller: Caller, sent: WebhookIn, url: str) -> Answer:
        if sent.ingestion_id is not None:
            await ingestions.ensure_exists(connection, caller.tenant_id, sent.ingestion_id)
        webhook_id = uuid4()
        values = {
            "id": webhook_id,
            "tenant_id": caller.tenant_id,
            "ingestion_id": sent.ingestion_id,
            "url": url,
            "event_types": list(dict.fromkeys(sent.event_types)),
            "description": sent.description,
            "sealed": self._box.seal(new_secret(os.urandom(32)), owner=owner_of(webhook_id)),
        }
        row = await repository.add(connection, values)
        await audit.record(connection, caller, "webhook.created", webhook_id)
        return Answer(201, _out(row).model_dump(mode="json"))

    async def _secret(self, caller: Caller, webhook_id: UUID) -> str | None:
        async with self._database.read() as connection:
            try:
                row = await repository.get(connection, caller.tenant_id, webhook_id)
            except NotFound:
                return None
        return self._box.open(row.sealed, owner=owner_of(webhook_id))

    async def get(self, caller: Caller, webhook_id: UUID) -> WebhookOut:
        """
        Raises:
            NotFound: the webhook.
        """
        async with self._database.read() as connection:
            return _out(await repository.get(connection, caller.tenant_id, webhook_id))

    async def page(self, caller: Caller, ingestion_id: UUID | None, page: Page) -> tuple[list[WebhookOut], int]:
        """One page, newest first, and the length of the whole list."""
        async with self._database.read() as connection:
            rows, total = await repository.page(connection, caller.tenant_id, ingestion_id, page)
        return [_out(row) for row in rows], total

    async def delete(self, caller: Caller, webhook_id: UUID) -> None:
        """With all that it was told. What is on its way arrives.

        Raises:
            NotFound: the webhook.
        """
        async with self._database.begin() as connection:
            await repository.get(connection, caller.tenant_id, webhook_id, lock=True)
            await repository.remove(connection, webhook_id)
            await audit.record(connection, caller, "webhook.deleted", webhook_id, destructive=True)

    async def enable(self, caller: Caller, webhook_id: UUID, once: Once | None) -> Answer:
        """200 with the webhook, active; what waits is sent again at once.

        Raises:
            NotFound: the webhook. Invalid: code ``idempotency_key_reused``.
        """

        async def enable(connection: AsyncConnection) -> Answer:
            await repository.get(connection, caller.tenant_id, webhook_id, lock=True)
            row = await repository.enable(connection, webhook_id)
            await audit.record(connection, caller, "webhook.enabled", webhook_id)
            return Answer(200, _out(row).model_dump(mode="json"))

        return await self._once(caller, once, enable)

    async def ping(self, caller: Caller, webhook_id: UUID, once: Once | None) -> Answer:
        """202 with a delivery of nothing but a greeting; it is sent within seconds.

        Raises:
            NotFound: the webhook. Conflict: code ``webhook_disabled``. Invalid: code ``idempotency_key_reused``.
        """

        async def ping(connection: AsyncConnection) -> Answer:
            of = await self._active(connection, caller, webhook_id)
            delivery_id = uuid4()
            await enqueue(connection, webhook_id, delivery_id, WebhookPing(webhook_id=webhook_id))
            row = await repository.get_delivery(connection, webhook_id, delivery_id)
            return Answer(202, _delivery(row, of).model_dump(mode="json"))

        return await self._once(caller, once, ping)

    async def deliveries(
        self, caller: Caller, webhook_id: UUID, state: str | None, page: Page
    ) -> tuple[list[DeliveryOut], int]:
        """One page, newest first, and the length of the whole list.

        Raises:
            NotFound: the webhook.
        """
        async with self._database.read() as connection:
            of = await repository.get(connection, caller.tenant_id, webhook_id)
            rows, total = await repository.deliveries(connection, webhook_id, state, page)
        return [_delivery(row, of) for row in rows], total

    async def delivery(self, caller: Caller, webhook_id: UUID, delivery_id: UUID) -> DeliveryDetail:
        """
        Raises:
            NotFound: the webhook, or the delivery.
        """
        async with self._database.read() as connection:
            of = await repository.get(connection, caller.tenant_id, webhook_id)
            row = await repository.get_delivery(connection, webhook_id, delivery_id)
        return DeliveryDetail(**_delivery(row, of).model_dump(), event=json.loads(row.body))

    async def redeliver(self, caller: Caller, webhook_id: UUID, delivery_id: UUID, once: Once | None) -> Answer:
        """202 with the delivery, which waits to be sent again under its id, whatever became of it before.

        Raises:
            NotFound: the webhook, or the delivery. Conflict: code ``webhook_disabled``. Invalid: code
                ``idempotency_key_reused``.
        """

        async def redeliver(connection: AsyncConnection) -> Answer:
            of = await self._active(connection, caller, webhook_id)
            await repository.get_delivery(connection, webhook_id, delivery_id, lock=True)
            row = await repository.send_again(connection, delivery_id)
            return Answer(202, _delivery(row, of).model_dump(mode="json"))

        return await self._once(caller, once, redeliver)

    async def _active(self, connection: AsyncConnection, caller: Caller, webhook_id: UUID) -> Row[Any]:
        of = await repository.get(connection, caller.tenant_id, webhook_id)
        if of.status != "active":
            raise Conflict(
                f"webhook {webhook_id} is disabled: {of.disabled_reason}",
                code="webhook_disabled",
                hint=f"repair its receiver, then POST /api/v1/webhooks/{webhook_id}/enable",
            )
        return of

    async def _once(
        self, caller: Caller, once: Once | None, effect: Callable[[AsyncConnection], Awaitable[Answer]]
    ) -> Answer:
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            answer = await at_most_once(connection, caller, once, lambda: effect(connection))
        failpoint("api.after_tx")
        return answer


def _out(row: Row[Any]) -> WebhookOut:
    return WebhookOut(
        id=row.id,
        url=row.url,
        event_types=row.event_types,
        ingestion_id=row.ingestion_id,
        description=row.description,
        status=row.status,
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        created_at=row.created_at,
    )


def _delivery(row: Row[Any], of: Row[Any]) -> DeliveryOut:
    is_next = row.state == "waiting" and of.status == "active"
    return DeliveryOut(
        id=row.id,
        webhook_id=row.webhook_id,
        event_type=row.event_type,
        state=row.state,
        attempts=row.attempts,
        next_attempt_at=row.due_at if is_next else None,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
