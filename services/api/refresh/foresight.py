"""What a refresh said that its run will come to, in the words in which runs tell it: pure."""

from collections.abc import Mapping
from typing import Any

from services.api.costs.schemas import Predicted
from services.api.refresh.schemas import Impact


def foreseen(impact: Mapping[str, Any]) -> dict[str, Any] | None:
    """From the impact that was estimated when the refresh was accepted; None if nothing could be told then."""
    told = Impact.model_validate(impact)
    if told.files_to_process is None:
        return None
    minutes, size_gb = told.estimated_duration_minutes, told.estimated_data_size_gb
    return Predicted(
        files=told.files_to_process,
        size_bytes=round((size_gb or 0) * 1e9),
        records=None,
        snapshots=None,
        duration_seconds=None if minutes is None else minutes * 60,
        cost_usd=told.estimated_cost_usd,
    ).model_dump(mode="json")
