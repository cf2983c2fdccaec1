"""What clients send and get about audits, rebuilds and fills."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.common.contracts.events import Problem
from libs.common.contracts.reports import AuditReport, FillReport, RebuildReport

_AUDIT_ID = "0d1c9f63-2b0a-4b7e-9a53-6d7f2f1d7c21"
_INGESTION_ID = "2f1b1c0e-6c56-4b5e-9d7e-0d9f2c1b8a11"
Status = Literal["requested", "running", "done", "failed"]

EXAMPLE_AUDIT: dict[str, Any] = {
    "audit_id": _AUDIT_ID,
    "ingestion_id": _INGESTION_ID,
    "status": "done",
    "created_at": "2025-01-07T12:34:56Z",
    "ended_at": "2025-01-07T12:34:59Z",
    "problem": None,
    "report": {
        "clean": False,
        "sides": {
            "bucket": {"batches": None, "files": 13, "rows": None},
            "ledger": {"batches": 4, "files": 12, "rows": 336776},
            "table": {"batches": 4, "files": 12, "rows": 336776},
        },
        "missing": {
            "count": 1,
            "examples": [
                {"name": "s3://landing/flights/2013-13.json", "reason": "unknown to the ledger: the next run loads it"}
            ],
        },
        "duplicated": {"count": 0, "examples": []},
        "orphaned": {"count": 0, "examples": []},
        "miscounted": {"count": 0, "examples": []},
        "notes": [],
    },
}

EXAMPLE_FILL: dict[str, Any] = {
    "fill_id": _AUDIT_ID,
    "ingestion_id": _INGESTION_ID,
    "status": "done",
    "created_at": "2025-01-07T12:34:56Z",
    "ended_at": "2025-01-07T12:34:59Z",
    "problem": None,
    "report": {"rows_changed": 1200, "columns": [{"column": "discount", "filled": 1200, "unfit": 3}]},
}


class AuditAccepted(BaseModel):
    """The request is stored; the audit happens."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"audit_id": _AUDIT_ID, "status": "requested"}]})

    audit_id: UUID
    status: Status


class AuditOut(BaseModel):
    """An audit, with its report when it is done."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_AUDIT]})

    audit_id: UUID
    ingestion_id: UUID
    status: Status = Field(description="failed: it could not be done; `problem` says why.")
    created_at: datetime
    ended_at: datetime | None = None
    problem: Problem | None = None
    report: AuditReport | None = None


class RebuildIn(BaseModel):
    """What is to be rebuilt from what."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"confirm": True, "dry_run": False}]})

    confirm: bool = Field(default=False, description="Must be true unless it is a dry run: the ledger is changed.")
    dry_run: bool = Field(default=False, description="Say what would be written, and write nothing.")
    unproven: Literal["committed", "new"] | None = Field(
        default=None,
        description="What to make of files that may have been loaded in a part of the table's history that was "
        "expired: take them as loaded, or load them. Without a word the rebuild refuses when there are any.",
    )
    from_ingestion: UUID | None = Field(
        default=None,
        description="The id under which the table was loaded, when the ingestion itself had to be created again.",
    )


class RebuildAccepted(BaseModel):
    """The request is stored; the rebuild happens."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rebuild_id": _AUDIT_ID, "status": "requested"}]})

    rebuild_id: UUID
    status: Status


class FillAccepted(BaseModel):
    """The request is stored; the columns are filled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"fill_id": _AUDIT_ID, "status": "requested"}]})

    fill_id: UUID
    status: Status


class FillOut(BaseModel):
    """A fill, with its report when it is done."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_FILL]})

    fill_id: UUID
    ingestion_id: UUID
    status: Status = Field(description="failed: `problem` says why. To ask again is safe: what was done stays done.")
    created_at: datetime
    ended_at: datetime | None = None
    problem: Problem | None = None
    report: FillReport | None = None


class RebuildOut(BaseModel):
    """A rebuild, with its report when it is done."""

    rebuild_id: UUID
    ingestion_id: UUID
    status: Status = Field(description="failed: nothing, or not all, was written; `problem` says why.")
    created_at: datetime
    ended_at: datetime | None = None
    problem: Problem | None = None
    report: RebuildReport | None = None
