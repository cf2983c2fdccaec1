"""What clients get about schedules."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_EXAMPLE: dict[str, Any] = {
    "is_on": True,
    "expression": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "waiting_since": None,
    "blocked_by": None,
    "ticks": [
        {"at": "2025-03-29T01:30:00Z", "shown": "2025-03-29T02:30:00+01:00", "starts_at": "2025-03-29T01:30:00Z"},
        {"at": "2025-03-30T01:00:00Z", "shown": "2025-03-30T03:00:00+02:00", "starts_at": "2025-03-30T01:00:00Z"},
    ],
}


class Tick(BaseModel):
    """One moment at which the schedule is due."""

    at: datetime
    shown: datetime = Field(description="The same, as a clock of the schedule's time zone shows it.")
    starts_at: datetime = Field(description="When its run starts: its jitter is added.")


class ScheduleOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    is_on: bool = Field(description="Whether runs start by themselves, by the clock or by events; resume turns it on.")
    expression: str | None = Field(
        description="Minute, hour, day of month, month, day of week; null when no run starts by the clock."
    )
    timezone: str
    waiting_since: datetime | None = Field(description="The first tick that has passed and was not caught up with.")
    blocked_by: str | None = Field(
        description="Why its run could not start so far: ingestion_halted, refresh_active, run_queued, …"
    )
    ticks: list[Tick] = Field(description="The next ones, whether it is on or not.")
