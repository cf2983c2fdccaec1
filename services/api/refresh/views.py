"""Refreshes as clients see them. Pure: rows in, words out; a status says what the executor said, never a guess."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from libs.common.contracts.definition import Definition
from libs.common.contracts.events import Problem, RefreshMode, RefreshStrategy
from services.api.refresh.schemas import (
    Impact,
    NextSteps,
    Operation,
    OperationName,
    PlannedOperation,
    RefreshIn,
    RefreshOut,
)
from services.api.refresh.swapping import SWAP_MESSAGE, failed, notes_on_swap, replaced
from services.api.refresh.undoing import BEGINS_ANEW, undo_until

_MESSAGES: dict[RefreshMode, str] = {
    "full": "the table begins anew, and every file is loaded again",
    "new_only": "the table begins anew, and only files that were never loaded are loaded",
    "swap": "the rows that were loaded aside take the place of the old ones, in one step",
    "undo": "the table from before the refresh comes back, with its history; the next run loads what it lacks",
    "clear_history": "no file counts as loaded any more: the next run reads them all again; the table stays as it is",
    "delete": "what is under way is stopped, and the ingestion is deleted; its table stays",
    "delete_with_table": "what is under way is stopped, the table is set aside, and the ingestion is deleted",
}
_OPERATIONS: dict[RefreshMode, tuple[OperationName, ...]] = {
    "full": ("table_dropped", "processed_files_cleared"),
    "new_only": ("table_dropped",),
    "swap": ("table_replaced",),
    "undo": ("table_dropped", "table_restored"),
    "clear_history": ("processed_files_cleared",),
    "delete": ("ingestion_deleted",),
    "delete_with_table": ("table_dropped", "ingestion_deleted"),
}
_WOULD: dict[OperationName, str] = {
    "table_dropped": "the table is set aside under another name, and an empty one with its columns takes its place",
    "processed_files_cleared": "no file counts as loaded any more",
    "run_triggered": "a run loads the new table",
}
_WOULD_SWAP: dict[OperationName, str] = {
    **_WOULD,
    "table_dropped": "nothing: the table stays readable, and an empty one with its columns is built aside",
    "table_replaced": "when everything is loaded, its rows take the place of the old ones in one step",
}
EMPTY_WARNING = "readers see an empty table until the next run has loaded it"
TWICE_WARNING = "{table} keeps its rows: they will be there twice when the next run has loaded the files again"


def operations_of(mode: RefreshMode, strategy: RefreshStrategy = "drop", *, auto_run: bool) -> list[OperationName]:
    """What a refresh does, in order. New-only keeps the history; a swap replaces the rows at its end."""
    names = list(_OPERATIONS[mode])
    if auto_run:
        names.append("run_triggered")
    if strategy == "swap" and mode in BEGINS_ANEW:
        names.append("table_replaced")
    return names


def foretold(
    ingestion_id: UUID, mode: RefreshMode, sent: RefreshIn, *, impact: Impact, notes: Sequence[str], now: datetime
) -> RefreshOut:
    """The answer to a dry run."""
    path = f"/api/v1/ingestions/{ingestion_id}/refresh/{mode.replace('_', '-')}"
    swaps = sent.strategy == "swap"
    would = _WOULD_SWAP if swaps else _WOULD
    strategy = ', "strategy": "swap"' if swaps else ""
    return RefreshOut(
        status="dry_run",
        message="nothing was changed",
        refresh_id=None,
        ingestion_id=ingestion_id,
        run_id=None,
        timestamp=now,
        mode=mode,
        operations=[],
        impact=impact,
        warnings=[] if swaps else [EMPTY_WARNING],
        notes=list(notes),
        would_perform=[
            PlannedOperation(operation=name, details=would[name])
            for name in operations_of(mode, sent.strategy, auto_run=sent.auto_run)
        ],
        next_steps=NextSteps(
            to_proceed=f'POST {path} {{"confirm": true, "auto_run": {str(sent.auto_run).lower()}{strategy}}}',
            to_cancel="nothing has to be done: a dry run changes nothing",
        ),
    )


def told(row: Any, *, kept_for: timedelta) -> RefreshOut:
    """The answer to a refresh, from its row of ``control.refresh``. What it sets aside is kept for that long."""
    problem = None if row.problem is None else Problem.model_validate(row.problem)
    operations = [
        _operation(name, row, problem, is_first=at == 0)
        for at, name in enumerate(operations_of(row.mode, row.strategy, auto_run=row.auto_run))
    ]
    is_well = all(operation.status != "failed" for operation in operations)
    return RefreshOut(
        status="accepted" if is_well else "partial_failure",
        message=_message(row) if problem is None else _failure(row, problem),
        refresh_id=row.id,
        ingestion_id=row.ingestion_id,
        run_id=row.run_id,
        timestamp=row.created_at,
        mode=row.mode,
        operations=operations,
        impact=Impact.model_validate(row.impact),
        warnings=_warnings(row),
        notes=[*row.notes, *_notes(row)],
        undo_until=undo_until(row, kept_for),
    )


def _operation(name: OperationName, row: Any, problem: Problem | None, *, is_first: bool) -> Operation:
    at = row.told_at or row.created_at
    if problem is not None:
        return _not_done(name, row, problem, at, is_first=is_first)
    if row.status != "success":
        return Operation(operation=name, status="pending", timestamp=at, details="the executor has not said yet")
    match name:
        case "table_replaced":
            return replaced(row)
        case "table_dropped" if row.kept_as is None:
            return Operation(operation=name, status="skipped", timestamp=at, details=_why_not_dropped(row))
        case "table_dropped":
            details = f"kept as {row.kept_as}"
        case "table_restored":
            details = f"{row.files_kept} files count as loaded in it"
        case "processed_files_cleared":
            details = f"{row.files_loaded_before} files counted as loaded; none does now"
        case "ingestion_deleted":
            details = "with its credentials; nothing of it can be published any more"
        case "run_triggered":
            details = f"run {row.run_id}"
    return Operation(operation=name, status="success", timestamp=at, details=details)


def _not_done(name: OperationName, row: Any, problem: Problem, at: datetime, *, is_first: bool) -> Operation:
    """The first one says why, the others wait for it."""
    if is_first:
        return failed(name, problem, at)
    left: Literal["skipped", "pending"] = "pending" if row.ended_at is None else "skipped"
    return Operation(operation=name, status=left, timestamp=at, details="what comes before it is not done")


def _why_not_dropped(row: Any) -> str:
    undoes_a_swap = row.mode == "undo" and row.strategy == "swap"
    return "the table stays in its place" if row.builds is not None or undoes_a_swap else "there was no table"


def _message(row: Any) -> str:
    return SWAP_MESSAGE if row.builds is not None else _MESSAGES[row.mode]


def _failure(row: Any, problem: Problem) -> str:
    end = "nothing was changed" if row.ended_at is not None else "it is tried again until it succeeds"
    return f"not done: {problem.message}; {end}"


def _warnings(row: Any) -> list[str]:
    if row.mode == "clear_history" and row.status != "failed":
        return [TWICE_WARNING.format(table=_table(row))]
    sees_no_rows = row.status == "success" and row.mode in BEGINS_ANEW and row.builds is None
    return [EMPTY_WARNING] if sees_no_rows else []


def _table(row: Any) -> str:
    return Definition.model_validate(row.definition).destination.identifier


def _notes(row: Any) -> list[str]:
    notes = notes_on_swap(row, _table(row))
    if row.mode == "clear_history" and row.status != "failed":
        notes += [
            "empty the table with SQL before the next run, or begin it anew: "
            f"POST /api/v1/ingestions/{row.ingestion_id}/refresh/full",
            "before the next run, autoloader rebuild-ledger brings the history back from the table's snapshots",
        ]
    if row.mode == "delete_with_table" and row.kept_as is not None:
        to = Definition.model_validate(row.definition).destination
        notes.append(f"to have the table back: ALTER TABLE {row.kept_as} RENAME TO {to.database}.{to.table}")
    if row.kept_as is not None:
        which = "table that it replaced" if row.mode == "undo" else "old table"
        notes.append(f"the {which} can be read as {row.kept_as}; drop it with PURGE when nobody needs it")
    if row.files_kept:
        notes.append(f"{row.files_kept} files count as loaded, and are not read again")
    return notes
