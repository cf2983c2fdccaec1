"""What clients get about bad records."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.common.contracts.scope import KEYS_MAX
from services.api.runs.schemas import Key

_EXAMPLE: dict[str, Any] = {
    "file": "s3://landing/flights/2013-03.json",
    "version": "9b2cf535f27731c974343645a3985328:221000",
    "table": "lake.demo.flights__quarantine",
    "run_id": "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10",
    "batch_id": "5c1a2f7e-9d0b-4b8e-8a34-6b1d2c3e4f50",
    "records_loaded": 998,
    "records_quarantined": 2,
    "first": [
        {"line": 17, "reason": "column 'delay' is bigint and cannot hold late", "raw": '{"id": 17, "delay": "late"}'},
        {"line": 640, "reason": "a JSON object that is cut short", "raw": '{"id": 640, "del'},
    ],
    "quarantined_at": "2025-01-07T12:35:03Z",
}


class ReplayIn(BaseModel):
    """Which files are replayed: all that have records in the quarantine, or these."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"files": ["flights/2013-03.json"]}})

    files: tuple[Key, ...] | None = Field(
        default=None, min_length=1, max_length=KEYS_MAX, description="Keys below the bucket, or s3://bucket/key."
    )


class BadRecordOut(BaseModel):
    """A record that does not fit the table."""

    line: int | None = Field(description="Its place in the file, from 1; null where it cannot be told.")
    reason: str
    raw: str | None = Field(description="The beginning of its text; null if the file is not text.")


class QuarantinedOut(BaseModel):
    """A file that was loaded without its bad records."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    file: str
    version: str = Field(description="The file's version: its ETag and size.")
    table: str = Field(description="The quarantine, which has all of the records, whole.")
    run_id: UUID
    batch_id: UUID
    records_loaded: int | None = Field(description="The file's rows in the table.")
    records_quarantined: int
    first: list[BadRecordOut] = Field(description="The first of them.")
    quarantined_at: datetime
