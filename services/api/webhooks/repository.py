"""Webhooks and what they are told, in Postgres. Statements only."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.errors import NotFound
from libs.common.ids import TenantId
from libs.common.storage.control import webhook, webhook_delivery
from services.api.pages import Page


async def add(connection: AsyncConnection, values: dict[str, Any]) -> Row[Any]:
    """Stores a webhook."""
    row: Row[Any] = (await connection.execute(webhook.insert().values(values).returning(webhook))).one()
    return row


async def get(connection: AsyncConnection, tenant_id: TenantId, webhook_id: UUID, *, lock: bool = False) -> Row[Any]:
    """
    Raises:
        NotFound: no such webhook of this tenant.
    """
    query = select(webhook).where(webhook.c.tenant_id == tenant_id, webhook.c.id == webhook_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound(
            f"no webhook has the id {webhook_id}", code="unknown_webhook", hint="GET /api/v1/webhooks lists them"
        )
    return row


async def page(
    connection: AsyncConnection, tenant_id: TenantId, ingestion_id: UUID | None, page: Page
) -> tuple[Sequence[Row[Any]], int]:
    """One page, newest first, and the length of the whole list. With ``ingestion_id``, those of that ingestion."""
    query = select(webhook).where(webhook.c.tenant_id == tenant_id)
    if ingestion_id is not None:
        query = query.where(webhook.c.ingestion_id == ingestion_id)
    total = await connection.scalar(select(func.count()).select_from(query.subquery()))
    newest_first = query.order_by(webhook.c.created_at.desc(), webhook.c.id.desc())
    return (await connection.execute(newest_first.limit(page.limit).offset(page.offset))).all(), total or 0


async def remove(connection: AsyncConnection, webhook_id: UUID) -> None:
    """With all that it was told, or would have been."""
    await connection.execute(delete(webhook).where(webhook.c.id == webhook_id))


async def enable(connection: AsyncConnection, webhook_id: UUID) -> Row[Any]:
    """What waits goes out again at once."""
    await connection.execute(
        update(webhook_delivery)
        .where(webhook_delivery.c.webhook_id == webhook_id, webhook_delivery.c.state == "waiting")
        .values(due_at=func.now(), attempts=0)
    )
    enabled = update(webhook).where(webhook.c.id == webhook_id)
    values = {"status": "active", "disabled_reason": None, "failing_since": None}
    row: Row[Any] = (await connection.execute(enabled.values(values).returning(webhook))).one()
    return row


async def listeners(connection: AsyncConnection, tenant_id: str, ingestion_id: UUID) -> Sequence[Row[Any]]:
    """Active webhooks that may want to know of this ingestion."""
    mine = or_(webhook.c.ingestion_id.is_(None), webhook.c.ingestion_id == ingestion_id)
    query = select(webhook).where(webhook.c.tenant_id == tenant_id, webhook.c.status == "active", mine)
    return (await connection.execute(query)).all()


async def any_listens(connection: AsyncConnection, tenant_ids: Collection[str]) -> bool:
    """Whether one of these tenants has an active webhook."""
    listens = exists().where(webhook.c.tenant_id.in_(tenant_ids), webhook.c.status == "active")
    return bool(await connection.scalar(select(listens)))


async def add_delivery(
    connection: AsyncConnection, delivery_id: UUID, webhook_id: UUID, event_type: str, body: bytes
) -> None:
    """Something to send; nothing if it is there already."""
    values = {"id": delivery_id, "webhook_id": webhook_id, "event_type": event_type, "body": body}
    await connection.execute(insert(webhook_delivery).values(values).on_conflict_do_nothing())


async def get_delivery(
    connection: AsyncConnection, webhook_id: UUID, delivery_id: UUID, *, lock: bool = False
) -> Row[Any]:
    """
    Raises:
        NotFound: no such delivery of this webhook.
    """
    d = webhook_delivery.c
    query = select(webhook_delivery).where(d.webhook_id == webhook_id, d.id == delivery_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound(
            f"webhook {webhook_id} has no delivery {delivery_id}",
            code="unknown_delivery",
            hint=f"GET /api/v1/webhooks/{webhook_id}/deliveries lists them; they are kept for 30 days",
        )
    return row


async def deliveries(
    connection: AsyncConnection, webhook_id: UUID, state: str | None, page: Page
) -> tuple[Sequence[Row[Any]], int]:
    """One page, newest first, and the length of the whole list."""
    d = webhook_delivery.c
    query = select(webhook_delivery).where(d.webhook_id == webhook_id)
    if state is not None:
        query = query.where(d.state == state)
    total = await connection.scalar(select(func.count()).select_from(query.subquery()))
    newest_first = query.order_by(d.created_at.desc(), d.id.desc()).limit(page.limit).offset(page.offset)
    return (await connection.execute(newest_first)).all(), total or 0


async def send_again(connection: AsyncConnection, delivery_id: UUID) -> Row[Any]:
    """As if it had never been tried, under its old id."""
    again = update(webhook_delivery).where(webhook_delivery.c.id == delivery_id)
    values = {"state": "waiting", "attempts": 0, "due_at": func.now(), "ended_at": None}
    row: Row[Any] = (await connection.execute(again.values(values).returning(webhook_delivery))).one()
    return row
