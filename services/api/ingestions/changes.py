"""What a change of a definition may do. Pure: values in, values or a refusal out."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from libs.common.contracts.definition import Credentials, Definition
from libs.common.errors import Conflict, Invalid
from services.api.errors import InvalidBody
from services.api.ingestions.schemas import READ_ONLY, IngestionIn


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396): objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def patched(stored: Mapping[str, Any], credentials: Credentials | None, patch: Mapping[str, Any]) -> IngestionIn:
    """The ingestion after ``patch``. Credentials take part in the merge: null removes them, a part replaces a part.

    Raises:
        Invalid: code ``read_only_field``.
        InvalidBody: the result is not a valid ingestion.
    """
    read_only = sorted(READ_ONLY & patch.keys())
    if read_only:
        raise Invalid(
            f"{', '.join(read_only)} cannot be changed", code="read_only_field", hint="leave it out of the body"
        )
    current: dict[str, Any] = dict(stored)
    if credentials is not None:
        current = merge(current, {"source": {"credentials": credentials.model_dump(mode="json")}})
    try:
        return IngestionIn.model_validate(merge(current, dict(patch)))
    except ValidationError as e:
        raise InvalidBody(e.errors(include_input=False)) from None


def check_identity(before: Definition, after: Definition, *, is_bound: bool) -> None:
    """Once files were loaded, the ledger belongs to one source and one table. Until then a mistake can be corrected.

    Raises:
        Conflict: code ``identity_fixed``.
    """
    if not is_bound:
        return
    changed = [
        name
        for name, old, new in (
            ("source.path", before.source.path, after.source.path),
            ("destination.catalog", before.destination.catalog, after.destination.catalog),
            ("destination.database", before.destination.database, after.destination.database),
            ("destination.table", before.destination.table, after.destination.table),
        )
        if old != new
    ]
    if changed:
        raise Conflict(
            f"{', '.join(changed)} cannot change once files are loaded or a run is under way: the history belongs to "
            f"{before.source.path} and {before.destination.identifier}",
            code="identity_fixed",
            hint="create a new ingestion for the new source or table, and delete this one if it is not needed",
        )
