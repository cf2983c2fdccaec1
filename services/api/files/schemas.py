"""What clients get about files."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from libs.common.contracts.scope import KEYS_MAX, Scope
from libs.common.ledger.states import FileState
from services.api.runs.schemas import Key, without_nul

_EXAMPLE_FILE: dict[str, Any] = {
    "uri": "s3://landing/flights/2013-03.json",
    "key": "flights/2013-03.json",
    "version": "9b2cf535f27731c974343645a3985328:221000",
    "size_bytes": 221000,
    "last_modified": "2025-01-07T12:34:56Z",
    "state": "committed",
    "run_id": "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10",
    "batch_id": "5c1a2f7e-9d0b-4b8e-8a34-6b1d2c3e4f50",
    "snapshot_id": 4358109269873137077,
    "records": 1000,
    "error_type": None,
    "error": None,
    "first_seen_at": "2025-01-07T12:34:57Z",
    "changed_at": "2025-01-07T12:35:03Z",
}


class FileOut(BaseModel):
    """One version of one object, as the ledger knows it."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_FILE})

    uri: str
    key: str
    version: str = Field(description="What tells it from other versions of the key: its ETag and size.")
    size_bytes: int
    last_modified: datetime
    state: FileState = Field(
        description="discovered: seen, waits for a batch; batched: in a batch that is under way; committed: its rows "
        "are in the table; baseline: was loaded before a new-only refresh; quarantined, failed: set aside, see error; "
        "missing: gone before it was read; superseded: overwritten before it was read, or its rows gave way to a later "
        "version's; skipped: it overwrote a loaded file, whose rows stay (source.allow_overwrites)."
    )
    run_id: UUID = Field(description="The run that saw it last as new.")
    batch_id: UUID | None
    snapshot_id: int | None = Field(description="The Iceberg snapshot that made its rows visible.")
    records: int | None = Field(description="Its rows in the table.")
    error_type: str | None
    error: str | None = Field(description="Why it was not loaded.")
    first_seen_at: datetime
    changed_at: datetime


class ReloadIn(BaseModel):
    """Which files are loaded again: one of the three."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"keys": ["flights/2013-03.json"]}})

    keys: tuple[Key, ...] | None = Field(
        default=None, min_length=1, max_length=KEYS_MAX, description="These, below the bucket or as s3://bucket/key."
    )
    prefix: str | None = Field(
        default=None, min_length=1, max_length=1024, description="Those that begin so, below the bucket or as s3://…"
    )
    failed: Literal[True] | None = Field(default=None, description="All that could not be loaded.")

    @field_validator("prefix")
    @classmethod
    def _is_text(cls, prefix: str | None) -> str | None:
        return None if prefix is None else without_nul(prefix)

    @model_validator(mode="after")
    def _is_one_of_them(self) -> "ReloadIn":
        if sum(each is not None for each in (self.keys, self.prefix, self.failed)) != 1:
            raise ValueError("give one of keys, prefix and failed")
        return self

    def scope(self) -> Scope:
        """A reload minds no age."""
        return Scope(keys=self.keys, prefix=self.prefix, failed=bool(self.failed), again=True, is_backfill=True)


class Verdict(StrEnum):
    """What became of a key, in one word."""

    LOADED = "loaded"
    WAITING = "waiting"
    EXCLUDED = "excluded"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    NEVER_SEEN = "never_seen"


class Explanation(BaseModel):
    """Why a key is in the table or is not."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "uri": "s3://landing/flights/2013-03.json",
                "verdict": "failed",
                "evidence": [
                    "it lies under source.path s3://landing/flights/",
                    "its name matches source.file_pattern *.json",
                    "run 7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10 could not load it: line 17 is not one JSON object",
                    "the object is there, in the version that failed",
                ],
                "next_action": "repair the file and upload it under the same key: the next run loads it",
                "versions": [_EXAMPLE_FILE | {"state": "failed", "snapshot_id": None, "records": None}],
            }
        }
    )

    uri: str
    verdict: Verdict
    evidence: list[str] = Field(description="What was looked at, in order.")
    next_action: str = Field(description="What to do, or that there is nothing to do.")
    versions: list[FileOut] = Field(description="All versions of the key that the ledger knows, newest first.")
