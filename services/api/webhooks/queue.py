"""Which delivery is next, and what became of it: claims and guarded updates. Statements only.

A claim moves ``due_at`` past the longest time that an attempt takes and takes the next ``token``. What if the process
dies after the request went out? The row is due again when that time is over, and is sent again under the same
``webhook-id``. One that was thought dead and comes back finds that its token is not the row's any more.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, Row, and_, case, cast, delete, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.storage.control import webhook, webhook_delivery
from services.api.webhooks.attempts import Attempt, Decision

KEPT = timedelta(days=30)
"""How long deliveries that have ended can be looked at, and sent again."""
_ERROR_CHARS_MAX = 500
_d = webhook_delivery.c


async def claim(
    connection: AsyncConnection, *, at_most: int, lease: timedelta, but_not: Collection[UUID]
) -> Sequence[Row[Any]]:
    """The oldest delivery that is due of each active webhook, but not of those in ``but_not``: a receiver gets one at a
    time from each process, and a slow one holds up nobody else."""
    oldest = (
        select(_d.id)
        .where(_d.webhook_id == webhook.c.id, _d.state == "waiting", _d.due_at <= func.now())
        .order_by(_d.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .lateral("oldest")
    )
    due = (
        select(oldest.c.id)
        .select_from(webhook.join(oldest, true()))
        .where(webhook.c.status == "active", webhook.c.id.not_in(list(but_not)))
        .limit(at_most)
    )
    found = (await connection.scalars(due)).all()
    taken = (
        update(webhook_delivery)
        .where(_d.id.in_(found), webhook.c.id == _d.webhook_id)
        .values(token=_d.token + 1, attempts=_d.attempts + 1, due_at=func.now() + cast(lease, Interval))
        .returning(_d.id, _d.webhook_id, _d.event_type, _d.body, _d.token, _d.attempts, webhook.c.url, webhook.c.sealed)
    )
    return (await connection.execute(taken)).all() if found else ()


async def record(
    connection: AsyncConnection, claimed: Row[Any], attempt: Attempt, decision: Decision, *, disable_after: timedelta
) -> str | None:
    """What came of an attempt; nothing if somebody else holds the delivery now. Returns why the webhook is disabled, if
    it is."""
    over = decision.state != "again"
    moved = (
        update(webhook_delivery)
        .where(_d.id == claimed.id, _d.token == claimed.token, _d.state == "waiting")
        .values(
            state=decision.state if over else "waiting",
            due_at=func.now() + cast(decision.pause, Interval),
            last_status=attempt.status,
            last_error=None if attempt.told is None else attempt.told[:_ERROR_CHARS_MAX],
            ended_at=func.now() if over else None,
        )
    )
    if (await connection.execute(moved)).rowcount == 0:
        return None
    of = update(webhook).where(webhook.c.id == claimed.webhook_id)
    if attempt.is_success:
        await connection.execute(of.where(webhook.c.failing_since.is_not(None)).values(failing_since=None))
        return None
    too_long = webhook.c.failing_since < func.now() - cast(disable_after, Interval)
    days = disable_after.total_seconds() / 86_400
    told = "answered 410: it wants nothing any more" if decision.is_gone else f"failed for more than {days:g} days"
    disabled = and_(webhook.c.status == "active", true() if decision.is_gone else too_long)
    values = {
        "failing_since": func.coalesce(webhook.c.failing_since, func.now()),
        "status": case((disabled, "disabled"), else_=webhook.c.status),
        "disabled_reason": case((disabled, told), else_=webhook.c.disabled_reason),
    }
    reason: str | None = await connection.scalar(of.values(values).returning(webhook.c.disabled_reason))
    return reason


async def forget_old(connection: AsyncConnection) -> None:
    """Deliveries that ended more than ``KEPT`` ago."""
    await connection.execute(delete(webhook_delivery).where(_d.ended_at < func.now() - cast(KEPT, Interval)))
