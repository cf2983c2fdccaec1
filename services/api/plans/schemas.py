"""What clients send and get about plans."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from libs.common.ledger.model.files import FileVersion
from services.api.costs.schemas import Predicted
from services.api.runs.schemas import BackfillIn

PlanKind = Literal["run", "backfill", "refresh_full", "refresh_new_only"]

_PLAN_ID = "0d6f6c2e-55a1-4c0c-9a36-3f4a0f1c7b11"
_INGESTION_ID = "2f1b1c0e-6c56-4b5e-9d7e-0d9f2c1b8a11"
_EXAMPLE_FILE: dict[str, Any] = {
    "key": "flights/2013-03.json",
    "version": "9b2cf535f27731c974343645a3985328:221000",
    "size_bytes": 221000,
    "last_modified": "2025-01-07T12:34:56Z",
}
_EXAMPLE: dict[str, Any] = {
    "id": _PLAN_ID,
    "ingestion_id": _INGESTION_ID,
    "kind": "run",
    "created_at": "2025-01-07T12:34:56Z",
    "expires_at": "2025-01-08T12:34:56Z",
    "predicted": {
        "files": 1,
        "size_bytes": 221000,
        "records": 1000,
        "snapshots": 1,
        "duration_seconds": 0.82,
        "cost_usd": 0.0000253,
    },
    "schema_change": {
        "columns_added": [{"name": "tailnum", "type": "string", "first_file": "flights/2013-03.json"}],
        "files_looked_into": 1,
        "is_all": False,
    },
    "first_files": [_EXAMPLE_FILE],
    "files_replacing": 0,
    "files_skipped": 2,
    "files_refused": 0,
    "notes": ["records are estimated by what this ingestion's last 3 runs loaded"],
    "next_steps": {
        "to_proceed": f'POST /api/v1/ingestions/{_INGESTION_ID}/run {{"plan_id": "{_PLAN_ID}"}}',
        "to_cancel": "nothing to do: a plan changes nothing, and is forgotten at expires_at",
    },
}


class PlanIn(BaseModel):
    """What to plan. ``backfill`` says which part of the source, for the kind of that name."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"kind": "run"}})

    kind: PlanKind = "run"
    backfill: BackfillIn | None = None

    @model_validator(mode="after")
    def _fits(self) -> "PlanIn":
        if self.backfill is not None and self.kind != "backfill":
            raise ValueError(f"backfill belongs to kind 'backfill', not to {self.kind!r}")
        return self


class PlanFile(BaseModel):
    """A file version that the plan would load."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_FILE})

    key: str
    version: str = Field(description="What tells it from other versions of the key: its ETag and size.")
    size_bytes: int
    last_modified: datetime

    @classmethod
    def of(cls, f: FileVersion) -> "PlanFile":
        return cls(key=f.key, version=f.version_tag, size_bytes=f.size_bytes, last_modified=f.last_modified)


class ColumnAdded(BaseModel):
    name: str
    type: str = Field(description="As SQL writes it.")
    first_file: str = Field(description="A file that has it.")


class SchemaChange(BaseModel):
    """What the table's schema would become, as far as the first lines of some files show."""

    columns_added: list[ColumnAdded]
    files_looked_into: int
    is_all: bool = Field(description="Whether every line of every file of the plan was looked at.")


class PlanSteps(BaseModel):
    to_proceed: str
    to_cancel: str


class PlanShown(BaseModel):
    """What a plan says, without its ids and times."""

    predicted: Predicted
    schema_change: SchemaChange
    first_files: list[PlanFile] = Field(description="The first 100; GET …/plans/{plan_id}/files has all.")
    files_replacing: int = Field(
        default=0,
        description="Of the files, those whose rows take the place of an earlier version's "
        "(source.allow_overwrites: replace).",
    )
    files_skipped: int = Field(description="Matching files that are loaded, set aside, or in work already.")
    files_refused: int = Field(
        description="Matching files that cannot be read under their names, or that were overwritten where "
        "source.allow_overwrites is fail; a run names them."
    )
    notes: list[str] = Field(description="What the numbers rest on, and what is not known.")


class PlanOut(PlanShown):
    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    id: UUID
    ingestion_id: UUID
    kind: PlanKind
    created_at: datetime
    expires_at: datetime = Field(description="When it is forgotten.")
    next_steps: PlanSteps
