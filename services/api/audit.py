"""Who changed what: one row per change, in the transaction of the change."""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.storage import control
from services.api.caller import Caller

_COLUMNS = ("tenant_id", "actor", "action", "subject_id", "destructive", "details")
_ADD = control.audit.insert().values(
    {column: bindparam(f"audit_{column}", type_=control.audit.c[column].type) for column in _COLUMNS}
)

RECORDED = _ADD.cte("recorded")
"""Records along with another statement, for ``add_cte``: one round trip less. ``along`` has its parameters."""


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
    await connection.execute(_ADD, along(caller, action, subject_id, destructive=destructive, details=details))


def along(
    caller: Caller,
    action: str,
    subject_id: UUID,
    *,
    destructive: bool = False,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """As ``record``, by a statement with ``RECORDED`` in it, which the caller executes with these."""
    return {
        "audit_tenant_id": caller.tenant_id,
        "audit_actor": caller.actor,
        "audit_action": action,
        "audit_subject_id": subject_id,
        "audit_destructive": destructive,
        "audit_details": details or {},
    }
