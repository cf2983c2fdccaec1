"""What clients get about completeness."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.common.ledger.states import FileState

HELD_BY_MAX = 20
MISSED_MAX = 50

_EXAMPLE: dict[str, Any] = {
    "watermark": "2025-01-07T12:20:11Z",
    "lag_s": 890.2,
    "listed_from": "2025-01-07T12:34:45Z",
    "held_by": [
        {
            "file": "s3://landing/flights/2013-03.json",
            "state": "failed",
            "why": "line 17 is not one JSON object",
            "last_modified": "2025-01-07T12:20:16Z",
            "run_id": "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10",
        }
    ],
    "note": "held back by a file that could not be loaded: repair it and upload it again, or leave it out with "
    "source.file_pattern",
    "missed": [
        {
            "rule": "daily",
            "pattern": "dt=2025-01-06/*.json",
            "begins": "2025-01-06T00:00:00Z",
            "ends": "2025-01-07T00:00:00Z",
            "expected": 24,
            "found": 23,
            "missed_at": "2025-01-07T01:00:03Z",
            "arrived_at": None,
        }
    ],
}


class HeldOut(BaseModel):
    """A file that is neither loaded nor set aside."""

    file: str
    state: FileState = Field(description="discovered, batched, failed or missing.")
    why: str = Field(description="What it waits for, or why it could not be loaded.")
    last_modified: datetime = Field(description="When it was written; the watermark cannot pass that.")
    run_id: UUID = Field(description="The run that saw it last as new.")


class MissedOut(BaseModel):
    """A period whose expected files did not come in time."""

    rule: str = Field(description="The rule's name in quality.expected_arrivals.")
    pattern: str = Field(description="Of the period's keys, below source.path.")
    begins: datetime
    ends: datetime
    expected: int
    found: int = Field(description="How many files were there when it was told, or when they had all come.")
    missed_at: datetime = Field(description="When it was told.")
    arrived_at: datetime | None = Field(description="When the files were found after all; null while they are missing.")


class CompletenessOut(BaseModel):
    """Up to when everything is loaded, set aside in quarantine, or left out by the definition."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    watermark: datetime | None = Field(
        description="Every object that the store had before this time is loaded, set aside or left out. It never falls "
        "while the table keeps its generation. Null before the first listing of the whole source has ended."
    )
    lag_s: float | None = Field(description="Seconds between the watermark and now.")
    listed_from: datetime | None = Field(
        description="When the latest listing of the whole source began that came to its end. What landed since may not "
        "be known, whatever notifications said."
    )
    held_by: list[HeldOut] = Field(description=f"What holds the watermark back, oldest first; {HELD_BY_MAX} at most.")
    note: str = Field(description="In a sentence, what the watermark waits for.")
    missed: list[MissedOut] = Field(
        description="Periods whose expected files did not come in time: those first whose files are missing still, "
        f"then the newest; {MISSED_MAX} at most."
    )
