"""What clients get about runs."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from libs.common.contracts.scope import KEYS_MAX, Scope
from libs.common.lifecycle.run import RunStatus
from libs.common.selection.wanted import REGEX_LENGTH_MAX, KeyRegex
from services.api.costs.schemas import Predicted


def without_nul(text: str) -> str:
    """Raises ``ValueError``: Postgres keeps no NUL, and no store has a key with one."""
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    return text


Key = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(without_nul)]

_RUN_ID = "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10"
_INGESTION_ID = "2f1b1c0e-6c56-4b5e-9d7e-0d9f2c1b8a11"

EXAMPLE_RUN: dict[str, Any] = {
    "id": _RUN_ID,
    "ingestion_id": _INGESTION_ID,
    "status": "partial",
    "queued": False,
    "waiting_on": None,
    "trigger": "manual",
    "retry_of": None,
    "scope": None,
    "prediction": None,
    "created_at": "2025-01-07T12:34:56Z",
    "started_at": "2025-01-07T12:34:57Z",
    "ended_at": "2025-01-07T12:35:03Z",
    "cancel_requested_at": None,
    "progress": {
        "files_discovered": 3,
        "files_done": 2,
        "batches_planned": 2,
        "batches_done": 2,
        "eta_seconds": None,
    },
    "metrics": {
        "files_processed": 2,
        "files_skipped": 0,
        "files_failed": 1,
        "records_ingested": 2000,
        "records_quarantined": 0,
        "bytes_read": 221000,
        "bytes_written": 18000,
        "duration_seconds": 6.12,
        "error_count": 1,
    },
    "errors": [
        {
            "file": "s3://landing/flights/2013-03.json",
            "error_type": "unparsable_file",
            "message": "line 17 is not a JSON object",
            "hint": "repair the file and upload it again: a new version is loaded by the next run",
            "line": 17,
            "timestamp": "2025-01-07T12:35:01Z",
        }
    ],
    "snapshots": [4358109269873137077],
    "schema_version": 1,
    "warnings": [],
}


class RunIn(BaseModel):
    """The body of a request for a run; there need not be one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"plan_id": None}})

    plan_id: UUID | None = Field(
        default=None, description="Load exactly the files of this plan (POST …/plan), or none if one has changed."
    )


class Prediction(BaseModel):
    """What was expected of a run, and what it came to."""

    predicted: Predicted
    actual: Predicted | None = Field(description="When it is over; cost by the same price model.")


class BackfillIn(BaseModel):
    """A part of the source. Each field narrows it further; without any, all that the definition leaves out for its
    age (``include_existing_files``, ``modified_after``, ``modified_before``) is wanted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "prefix": "flights/2013/",
                "modified_from": "2025-01-01T00:00:00Z",
                "modified_until": "2025-02-01T00:00:00Z",
                "max_files": 10000,
            }
        },
    )

    prefix: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Keys that begin so, below the bucket; or s3://bucket/…",
    )
    key_regex: str | None = Field(
        default=None,
        min_length=1,
        max_length=REGEX_LENGTH_MAX,
        description="Keys in which this regular expression (RE2) is found.",
        examples=["/2013-0[1-6]"],
    )
    modified_from: AwareDatetime | None = Field(default=None, description="Objects written then or later.")
    modified_until: AwareDatetime | None = Field(default=None, description="Objects written before.")
    keys: tuple[Key, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=KEYS_MAX,
        description="A manifest: exactly these, below the bucket or as s3://bucket/key. They are not listed.",
    )
    max_files: int | None = Field(default=None, ge=1, description="Files that the run takes, at most.")
    max_bytes: int | None = Field(default=None, ge=1, description="Bytes that the run takes, at most.")

    @field_validator("prefix", "key_regex")
    @classmethod
    def _is_text(cls, text: str | None) -> str | None:
        return None if text is None else without_nul(text)

    @field_validator("key_regex")
    @classmethod
    def _can_be_read(cls, expression: str | None) -> str | None:
        if expression is not None:
            KeyRegex(expression)
        return expression

    @model_validator(mode="after")
    def _covers_some_time(self) -> "BackfillIn":
        if self.modified_from and self.modified_until and self.modified_from >= self.modified_until:
            raise ValueError("modified_from must be before modified_until: no object could be in between")
        return self

    def scope(self) -> Scope:
        return Scope(**self.model_dump(), is_backfill=True)


class RunAccepted(BaseModel):
    """The request is stored; the run happens."""

    model_config = ConfigDict(json_schema_extra={"example": {"run_id": _RUN_ID, "status": "accepted", "queued": False}})

    run_id: UUID
    status: Literal["accepted"] = "accepted"
    queued: bool = Field(description="It waits for the active run of this ingestion; one run waits at most.")


class RunCancelled(BaseModel):
    """The run will end; what of it was loaded before stays loaded."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"run_id": _RUN_ID, "status": "running", "cancel_requested_at": "2025-01-07T12:35:00Z"}
        }
    )

    run_id: UUID
    status: RunStatus = Field(description="As it is now; it becomes cancelled when all of its batches have ended.")
    cancel_requested_at: datetime


class Progress(BaseModel):
    files_discovered: int
    files_done: int
    batches_planned: int
    batches_done: int
    eta_seconds: int | None = Field(description="Estimate for the files found so far; null when nothing is known.")


class RunMetrics(BaseModel):
    """What this run committed; an incremental run counts the new files only."""

    files_processed: int
    files_skipped: int = Field(description="Matching files that earlier runs had loaded.")
    files_failed: int
    records_ingested: int
    records_quarantined: int
    bytes_read: int
    bytes_written: int
    duration_seconds: float | None = Field(description="So far, while it runs; null before it starts.")
    error_count: int


class RunErrorOut(BaseModel):
    file: str | None
    error_type: str
    message: str
    hint: str
    line: int | None = Field(description="1-based.")
    timestamp: datetime


class RunOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_RUN})

    id: UUID
    ingestion_id: UUID
    status: RunStatus
    queued: bool = Field(description="It waits for the active run of this ingestion.")
    waiting_on: str | None = Field(
        description="Why an accepted run has not begun, or what stopped the latest attempt at a batch that is not done."
    )
    trigger: str = Field(description="manual, schedule, event, refresh, backfill or retry.")
    retry_of: UUID | None = Field(description="It reads only what failed in that run.")
    scope: Scope | None = Field(description="It reads only this part of the source; null: all that is new.")
    prediction: Prediction | None = Field(description="Of a run that was planned before.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None = Field(description="It was cancelled then; it ends when its batches have.")
    progress: Progress
    metrics: RunMetrics
    errors: list[RunErrorOut] = Field(description="The first of them; metrics.error_count counts all.")
    snapshots: list[int] = Field(description="Iceberg snapshot ids that this run published (64-bit integers).")
    schema_version: int | None
    warnings: list[str]
