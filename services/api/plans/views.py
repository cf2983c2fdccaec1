"""Plans as clients see them: pure."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.common.storage.plans import expires_at
from services.api.plans.schemas import PlanOut, PlanSteps

_CALLS = {
    "run": ("run", {}),
    "backfill": ("run", {}),
    "refresh_full": ("refresh/full", {"confirm": True}),
    "refresh_new_only": ("refresh/new-only", {"confirm": True}),
}


def out(row: Row[Any]) -> PlanOut:
    """From a row of ``control.plan``."""
    return PlanOut.model_validate(
        {
            **row.shown,
            "id": row.id,
            "ingestion_id": row.ingestion_id,
            "kind": row.kind,
            "created_at": row.created_at,
            "expires_at": expires_at(row.created_at),
            "next_steps": PlanSteps(
                to_proceed=call(row.ingestion_id, row.kind, row.id),
                to_cancel="nothing to do: a plan changes nothing, and is forgotten at expires_at",
            ),
        }
    )


def call(ingestion_id: UUID, kind: str, plan_id: UUID) -> str:
    """The request that applies a plan."""
    path, body = _CALLS[kind]
    return f"POST /api/v1/ingestions/{ingestion_id}/{path} {json.dumps({**body, 'plan_id': str(plan_id)})}"
