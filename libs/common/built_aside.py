"""A table that a refresh builds beside the old one: its name, and the definition of those who load it. Pure."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

_NAME_MAX: Final = 80
"""Characters of the table's own name in the other one: so that this is an identifier too."""


def built_name(table: str, refresh_id: UUID) -> str:
    """No other refresh ever uses this name."""
    return f"{table[:_NAME_MAX]}__new_{refresh_id.hex}"


def definition_of_now(definition: Mapping[str, Any], building: UUID | None) -> dict[str, Any]:
    """An ingestion's definition (its stored form) as a run that begins now has to use it: while the refresh
    ``building`` is not complete, rows go into the table that it builds."""
    if building is None:
        return dict(definition)
    to = definition["destination"]
    return {**definition, "destination": {**to, "table": built_name(to["table"], building)}}
