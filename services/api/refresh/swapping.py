"""How a refresh that builds its table aside stands, in words: pure."""

from datetime import datetime
from typing import Any, Final, Literal

from libs.common.contracts.events import Problem
from libs.common.ledger.model.batches import NO_SNAPSHOT
from services.api.refresh.schemas import Operation, OperationName

SWAP_MESSAGE: Final = "files are loaded beside the table, and take the place of its rows when nothing is left to load"


def replaced(row: Any) -> Operation:
    """The last operation of such a refresh, or the one of the swap that completes it; ``row`` as ``repository.get``."""
    if row.mode == "swap" or row.swap_status == "success":
        rows = row.row_count if row.mode == "swap" else row.swap_row_count
        return _operation(row, "success", f"{rows:,} rows took the place of the old ones")
    if row.builds is None:
        return _operation(row, "skipped", "there was no table whose rows could stay")
    if not row.is_building:
        return _operation(row, "skipped", "the refresh was undone before: the old rows were there all the time")
    if row.swap_problem is not None:
        return failed("table_replaced", Problem.model_validate(row.swap_problem), _at(row))
    return _operation(row, "pending", _waits_for(row))


def failed(name: OperationName, problem: Problem, at: datetime) -> Operation:
    """An operation that was tried, and why it is not done."""
    return Operation(
        operation=name,
        status="failed",
        timestamp=at,
        details=problem.hint,
        error=problem.message,
        error_code=problem.error_type,
    )


def notes_on_swap(row: Any, table: str) -> list[str]:
    """What to know of it beside its operations; nothing of other refreshes."""
    if row.builds is not None and row.is_building:
        return [f"runs load {row.builds} until then; readers of {table} see the old rows"]
    snapshot = row.replaced_snapshot if row.builds is None else row.swap_replaced_snapshot
    if snapshot is None or snapshot == NO_SNAPSHOT:
        return []
    return [f"the rows of before can be read as {table} VERSION AS OF {snapshot}, until that snapshot is expired"]


def _operation(row: Any, status: Literal["success", "skipped", "pending"], details: str) -> Operation:
    return Operation(operation="table_replaced", status=status, timestamp=_at(row), details=details)


def _at(row: Any) -> datetime:
    at: datetime = row.swap_ended_at or row.swap_told_at or row.told_at or row.created_at
    return at


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
