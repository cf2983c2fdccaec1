"""Whether a plan may be applied, as far as that can be told without looking at the files. Pure."""

from typing import Any

from sqlalchemy import Row

from libs.common.errors import Conflict, Invalid
from services.api.plans.views import call

_OF_RUNS = frozenset({"run", "backfill"})


def refuse_plan(plan: Row[Any], ingestion: Row[Any]) -> None:
    """For a run. What became of the files is the scanner's to say: it looks at each before it takes one.

    Raises:
        Invalid: code ``plan_of_a_refresh``.
        Conflict: code ``plan_outdated``.
    """
    if plan.kind not in _OF_RUNS:
        raise Invalid(
            "this plan is one of a refresh",
            code="plan_of_a_refresh",
            hint=f"apply it by {call(plan.ingestion_id, plan.kind, plan.id)}",
        )
    refuse_outdated(plan, ingestion)


def refuse_outdated(plan: Row[Any], ingestion: Row[Any]) -> None:
    """
    Raises:
        Conflict: code ``plan_outdated``.
    """
    changed = None
    if plan.definition_version != ingestion.definition_version:
        changed = (
            f"the definition was changed: the plan is of version {plan.definition_version}, "
            f"and it is {ingestion.definition_version} now"
        )
    elif plan.generation != ingestion.generation:
        changed = "a refresh has begun the table anew"
    if changed is not None:
        raise Conflict(
            f"the plan does not hold any more: {changed}",
            code="plan_outdated",
            hint=f"POST /api/v1/ingestions/{ingestion.id}/plan makes a new one",
        )
