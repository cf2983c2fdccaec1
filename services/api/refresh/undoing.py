"""Which refreshes can be undone. Pure: rows in, a refusal out."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from libs.common.contracts.definition import Definition
from libs.common.contracts.events import RefreshMode
from libs.common.errors import Conflict

BEGINS_ANEW: Final[frozenset[RefreshMode]] = frozenset({"full", "new_only"})


def undo_until(row: Any, kept_for: timedelta) -> datetime | None:
    """When a refresh stops being undoable; None if there is nothing to undo, or nothing any more."""
    return None if row.is_undone or not _kept_rows(row) else _end(row, kept_for)


def refuse_undo(row: Any, since: Sequence[Any], definition: Definition, *, now: datetime, kept_for: timedelta) -> None:
    """``row`` is a refresh that is over, ``since`` what was done to the table after it, oldest first.

    Raises:
        Conflict: codes ``nothing_to_undo``, ``undone_already``, ``refreshed_since``, ``undo_too_late``,
            ``destination_changed``.
    """
    path = f"/api/v1/ingestions/{row.ingestion_id}/refresh"
    if not _kept_rows(row):
        raise _nothing(row, path)
    if row.is_undone:
        raise Conflict(
            f"refresh {row.id} was undone already",
            code="undone_already",
            hint=f"POST {path}/full begins the table anew once more",
        )
    newer = [later for later in since if later.mode in BEGINS_ANEW and not later.is_undone]
    if newer:
        raise Conflict(
            f"the table was refreshed again since, by refresh {newer[-1].id}",
            code="refreshed_since",
            hint=f"undo the latest one first: POST {path}/{newer[-1].id}/undo",
        )
    before = Definition.model_validate(row.definition).destination.identifier
    if now > _end(row, kept_for) and not row.is_building:
        old = f"its old table was not dropped since, it can still be read, as {row.kept_as}"
        if row.builds is not None:
            snapshot = f"{before} VERSION AS OF {row.swap_replaced_snapshot}"
            old = f"that snapshot was not expired since, the old rows can still be read, as {snapshot}"
        raise Conflict(
            f"refresh {row.id} could be undone until {_end(row, kept_for):%Y-%m-%d %H:%M:%S} UTC",
            code="undo_too_late",
            hint=f"if {old}",
        )
    if before != definition.destination.identifier:
        raise Conflict(
            f"the old table belongs under {before}, and the ingestion loads {definition.destination.identifier} now",
            code="destination_changed",
            hint="PATCH the destination back to what it was, and undo then",
        )


def _kept_rows(row: Any) -> bool:
    """In a table that it set aside, or, while another one is built and after, where they were."""
    kept = row.kept_as is not None or row.builds is not None
    return row.status == "success" and row.mode in BEGINS_ANEW and kept


def _end(row: Any, kept_for: timedelta) -> datetime:
    """Counted from when readers saw the new rows. A table that is being built can be given up at any time."""
    since = row.swap_ended_at if row.swap_status == "success" else row.ended_at
    until: datetime = since + kept_for
    return until


def _nothing(row: Any, path: str) -> Conflict:
    if row.status != "success":
        reason = f"refresh {row.id} failed, and changed nothing"
    elif row.mode in BEGINS_ANEW:
        reason = f"there was no table before refresh {row.id}"
    else:
        reason = f"{row.id} is no refresh that began the table anew"
    return Conflict(reason, code="nothing_to_undo", hint=f"GET {path} lists the refreshes, with undo_until of each")
