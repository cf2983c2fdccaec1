"""Whether a plan may be applied, as far as that can be told without looking at the files. Pure."""

from typing import Any

from sqlalchemy import Row

from libs.common.errors import Conflict, Invalid
from services.api.plans.views import call


def refuse_plan(plan: Row[Any], ingestion: Row[Any], *kinds: str) -> None:
    """Lets plans of these kinds pass that are of the ingestion as it is now. What became of the files is the scanner's
    to say: it looks at each before it takes one.

    Raises:
        Invalid: code ``plan_of_another``.
        Conflict: code ``plan_outdated``.
    """
    if plan.kind not in kinds:
        raise Invalid(
            f"this plan is one of kind {plan.kind}",
            code="plan_of_another",
            hint=f"apply it by {call(plan.ingestion_id, plan.kind, plan.id)}",
        )
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
