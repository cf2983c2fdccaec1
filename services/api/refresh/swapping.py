"""How a refresh that builds its table aside stands, in words: pure."""

from typing import Any, Final

from libs.common.contracts.events import Problem
from libs.common.ledger.model.batches import NO_SNAPSHOT
from services.api.refresh.schemas import Operation

SWAP_MESSAGE: Final = "files are loaded beside the table, and take the place of its rows when nothing is left to load"


def replaced(row: Any) -> Operation:
    """The last operation of such a refresh, or the one of the swap that completes it; ``row`` as ``repository.get``."""
    at = row.swap_ended_at or row.swap_told_at or row.told_at or row.created_at
    if row.mode == "swap":
        details = f"{row.row_count:,} rows took the place of the old ones"
        return Operation(operation="table_replaced", status="success", timestamp=at, details=details)
    if row.swap_status == "success":
        details = f"{row.swap_row_count:,} rows took the place of the old ones"
        return Operation(operation="table_replaced", status="success", timestamp=at, details=details)
    if row.builds is None:
        details = "there was no table whose rows could stay"
        return Operation(operation="table_replaced", status="skipped", timestamp=at, details=details)
    if not row.is_building:
        details = "the refresh was undone before: the old rows were there all the time"
        return Operation(operation="table_replaced", status="skipped", timestamp=at, details=details)
    if row.swap_problem is not None:
        problem = Problem.model_validate(row.swap_problem)
        return Operation(
            operation="table_replaced", status="failed", timestamp=at, details=problem.hint, error=problem.message,
            error_code=problem.error_type,
        )  # fmt: skip
    return Operation(operation="table_replaced", status="pending", timestamp=at, details=_waits_for(row))


def notes_on_swap(row: Any, table: str) -> list[str]:
    """What to know of it beside its operations; nothing of other refreshes."""
    if row.builds is not None and row.is_building:
        return [f"runs load {row.builds} until then; readers of {table} see the old rows"]
    snapshot = row.replaced_snapshot if row.builds is None else row.swap_replaced_snapshot
    if snapshot is None or snapshot == NO_SNAPSHOT:
        return []
    return [f"the rows of before can be read as {table} VERSION AS OF {snapshot}, until that snapshot is expired"]


def _waits_for(row: Any) -> str:
    path = f"/api/v1/ingestions/{row.ingestion_id}"
    if row.swap_status is not None:
        return "everything is loaded; the executor has not said yet that the rows are in place"
    if row.last_run_status in ("partial", "failed", "cancelled"):
        return (
            f"run {row.last_run_id} ended as {row.last_run_status}, so the old rows stay. "
            f"POST {path}/runs/{row.last_run_id}/retry reads what failed, POST {path}/run what is new; when nothing is "
            f"left, the rows are replaced. Or give the new ones up: POST {path}/refresh/{row.id}/undo"
        )
    return "the old rows stay until a run has loaded everything"
