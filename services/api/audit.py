"""Who changed what: one row per change, in the transaction of the change."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.storage import control
from services.api.caller import Caller


async def record(
    connection: AsyncConnection,
    caller: Caller,
    action: str,
    subject_id: UUID,
    *,
    destructive: bool = False,
    details: dict[str, Any] | None = None,
) -> None:
    """``action`` is a past event, as in ``ingestion.created``. ``details`` never hold a credential."""
    await connection.execute(
        control.audit.insert().values(
            tenant_id=caller.tenant_id,
            actor=caller.actor,
            action=action,
            subject_id=subject_id,
            destructive=destructive,
            details=details or {},
        )
    )
