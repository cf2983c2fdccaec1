"""What clients send and get about refreshes."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from libs.common.contracts.events import RefreshMode, RefreshStrategy

OperationName = Literal[
    "table_dropped", "table_restored", "table_replaced", "processed_files_cleared", "run_triggered", "ingestion_deleted"
]

_INGESTION_ID = "2f1b1c0e-6c56-4b5e-9d7e-0d9f2c1b8a11"
EXAMPLE_ANSWER: dict[str, Any] = {
    "status": "accepted",
    "message": "the table begins anew, and a run loads every file again",
    "refresh_id": "5b7c1f0a-3f0b-4a52-9b60-1d1f3f8f9f10",
    "ingestion_id": _INGESTION_ID,
    "run_id": "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10",
    "timestamp": "2025-01-07T12:34:56Z",
    "mode": "full",
    "operations": [
        {
            "operation": "table_dropped",
            "status": "success",
            "timestamp": "2025-01-07T12:34:58Z",
            "details": "kept as lake.demo.flights__g1_5b7c1f0a3f0b4a529b601d1f3f8f9f10",
            "error": None,
            "error_code": None,
        }
    ],
    "impact": {
        "files_to_process": 3,
        "files_skipped": 0,
        "estimated_data_size_gb": 0.000331,
        "estimated_cost_usd": 0.0000248,
        "estimated_duration_minutes": 0.0137,
    },
    "warnings": [],
    "notes": [
        "duration and cost are estimates, corrected by this ingestion's last 3 runs: 2 cores at 0.05 USD an hour, "
        "1 LIST and 9 GET"
    ],
    "would_perform": [],
    "next_steps": None,
    "undo_until": "2025-01-14T12:34:58Z",
}


class RefreshIn(BaseModel):
    """The body of both kinds of refresh."""

    model_config = ConfigDict(json_schema_extra={"example": {"confirm": True, "auto_run": True, "dry_run": False}})

    confirm: Literal[True] = Field(description="Must be true: the table is emptied.")
    auto_run: bool = Field(default=True, description="Run the ingestion as soon as the new table is there.")
    dry_run: bool = Field(default=False, description="Only say what would be done.")
    strategy: RefreshStrategy = Field(
        default="drop",
        description="drop: an empty table takes the place of the old one at once. swap: the old rows stay readable "
        "until everything is loaded beside them; then they are replaced in one step.",
    )
    plan_id: UUID | None = Field(
        default=None, description="Its run loads exactly the files of this plan (POST …/plan), or none if one changed."
    )

    @model_validator(mode="after")
    def _plans_a_run(self) -> "RefreshIn":
        if self.plan_id is not None and (self.dry_run or not self.auto_run):
            raise ValueError("plan_id says what the run of the refresh loads: it needs auto_run, and no dry_run")
        return self


class UndoIn(BaseModel):
    """The body of an undo, which may be left out."""

    model_config = ConfigDict(json_schema_extra={"example": {"auto_run": False}})

    auto_run: bool = Field(default=False, description="Run the ingestion as soon as the old table is back.")


class Operation(BaseModel):
    operation: OperationName
    status: Literal["success", "failed", "skipped", "pending"] = Field(
        description="pending: not known to be done yet; `GET …/refresh/{refresh_id}` says when it is."
    )
    timestamp: datetime
    details: str
    error: str | None = None
    error_code: str | None = None


class Impact(BaseModel):
    """What the ledger and a listing of the source say. Null: not known; a note says why."""

    files_to_process: int | None = None
    files_skipped: int | None = None
    estimated_data_size_gb: float | None = Field(default=None, description="Of the files to process, in 10^9 bytes.")
    estimated_cost_usd: float | None = None
    estimated_duration_minutes: float | None = None


class PlannedOperation(BaseModel):
    operation: OperationName
    details: str


class NextSteps(BaseModel):
    to_proceed: str
    to_cancel: str


class RefreshOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_ANSWER})

    status: Literal["accepted", "dry_run", "partial_failure"]
    message: str
    refresh_id: UUID | None = Field(description="Null in a dry run.")
    ingestion_id: UUID
    run_id: UUID | None = Field(description="The run that loads the table, as soon as it is asked for.")
    timestamp: datetime
    mode: RefreshMode
    operations: list[Operation]
    impact: Impact
    warnings: list[str] = []
    notes: list[str] = []
    would_perform: list[PlannedOperation] = Field(default=[], description="In a dry run: what a refresh would do.")
    next_steps: NextSteps | None = Field(default=None, description="In a dry run: how to go on.")
    undo_until: datetime | None = Field(
        default=None, description="`POST …/refresh/{refresh_id}/undo` brings the old table back until then."
    )
