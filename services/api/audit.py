"""Who changed what: one row per change, in the transaction of the change."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.arrays import Columns, arrays_of, given_rows
from libs.common.storage import control
from services.api.caller import Caller

_COLUMNS: Columns = {
    **{name: control.audit.c[name].type for name in ("tenant_id", "actor", "action", "subject_id", "destructive")},
    "details": Text(),
}
_given = given_rows("audit", _COLUMNS)
_values = [cast(column, JSONB) if column.name == "details" else column for column in _given.c]
_RECORD = control.audit.insert().from_select(list(_COLUMNS), select(*_values))

RECORDED = _RECORD.cte("recorded")
"""Records along with another statement, for ``add_cte``: one round trip less. ``along`` has its parameters."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``action`` is a past event, as in ``ingestion.created``. ``details`` never hold a credential."""

    caller: Caller
    action: str
    subject_id: UUID
    destructive: bool = False
    details: dict[str, Any] = field(default_factory=dict)


async def record(
    connection: AsyncConnection,
    caller: Caller,
    action: str,
    subject_id: UUID,
    *,
    destructive: bool = False,
    details: dict[str, Any] | None = None,
) -> None:
    """One ``Entry``."""
    await connection.execute(_RECORD, along([Entry(caller, action, subject_id, destructive, details or {})]))


def along(entries: Iterable[Entry]) -> dict[str, Any]:
    """For a statement with ``RECORDED`` in it, which the caller executes with these."""
    rows = [
        (e.caller.tenant_id, e.caller.actor, e.action, e.subject_id, e.destructive, json.dumps(e.details))
        for e in entries
    ]
    return arrays_of("audit", _COLUMNS, rows)
