"""What clients send and get about ingestions. The definition itself is ``contracts.definition``."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from libs.common.contracts.definition import Credentials, Definition, Source
from libs.common.selection.pattern import Pattern
from services.api.ingestions.sense import contradictions

READ_ONLY = frozenset(
    {
        "id",
        "tenant_id",
        "status",
        "spark_connect_url",
        "metadata",
        "definition_version",
        "generation",
        "warnings",
        "created_at",
        "updated_at",
        "created_by",
    }
)
"""Fields that only answers have. PUT and POST pass over them, so that what GET returned can be sent back."""

EXAMPLE: dict[str, Any] = {
    "name": "Flights",
    "cluster_id": "local",
    "source": {
        "type": "s3",
        "path": "s3://landing/flights/",
        "file_pattern": "*.json",
        "credentials": {
            "aws_access_key_id": "AKIA…",
            "aws_secret_access_key": "…",
            "endpoint_url": "http://localhost:9000",
            "region": "us-east-1",
        },
    },
    "format": {"type": "json", "schema": {"inference": "auto", "evolution_enabled": True}},
    "destination": {"catalog": "lake", "database": "demo", "table": "flights", "write_mode": "append"},
}

EXAMPLE_ANSWER: dict[str, Any] = {
    "id": "2f1b1c0e-6c56-4b5e-9d7e-0d9f2c1b8a11",
    "tenant_id": "default",
    "status": "draft",
    **EXAMPLE,
    "source": {
        **{name: value for name, value in EXAMPLE["source"].items() if name != "credentials"},
        "credentials_set": True,
    },
    "spark_connect_url": "sc://localhost:15002",
    "metadata": {
        "last_run_id": "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10",
        "last_run_time": "2025-01-07T12:34:56Z",
        "next_run_time": None,
        "schema_version": 1,
        "watermark": "2025-01-07T12:34:40Z",
        "halt": None,
    },
    "definition_version": 1,
    "generation": 1,
    "warnings": [],
    "created_at": "2025-01-07T12:30:00Z",
    "updated_at": "2025-01-07T12:30:00Z",
    "created_by": "anonymous",
}


class SourceIn(Source):
    credentials: Credentials | None = Field(
        default=None,
        description="Write-only: stored encrypted, never returned. PUT without them keeps the stored ones.",
    )

    @field_validator("file_pattern")
    @classmethod
    def _can_be_read(cls, pattern: str) -> str:
        Pattern(pattern)
        return pattern

    @model_validator(mode="before")
    @classmethod
    def _drop_read_only(cls, sent: Any) -> Any:
        return {k: v for k, v in sent.items() if k != "credentials_set"} if isinstance(sent, dict) else sent


class IngestionIn(Definition):
    """The body of POST and PUT."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    source: SourceIn

    @model_validator(mode="before")
    @classmethod
    def _drop_read_only(cls, sent: Any) -> Any:
        return {k: v for k, v in sent.items() if k not in READ_ONLY} if isinstance(sent, dict) else sent

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if problems := contradictions(self, self.credentials):
            raise ValueError("; ".join(problems))
        return self

    @property
    def credentials(self) -> Credentials | None:
        return self.source.credentials

    def definition(self) -> Definition:
        """The definition alone: what is stored, frozen into runs, and shown."""
        return Definition.model_validate(self.model_dump(by_alias=True, exclude={"source": {"credentials"}}))


class SourceOut(Source):
    model_config = ConfigDict(extra="ignore")

    credentials_set: bool = Field(description="Whether credentials are stored for this source.")


class Halt(BaseModel):
    """Ledger and table contradict each other: nothing is loaded until somebody looked and decided."""

    code: str = Field(
        description="Stable word: ledger_behind_table, table_rolled_back, rebuilding or rebuild_unfinished."
    )
    message: str
    hint: str = Field(description="What to do next.")
    since: datetime


class Paused(BaseModel):
    status: Literal["paused"] = "paused"


class Resumed(BaseModel):
    status: Literal["draft", "active"]


class IngestionMetadata(BaseModel):
    last_run_id: UUID | None = None
    last_run_time: datetime | None = Field(default=None, description="When the last run was asked for.")
    next_run_time: datetime | None = Field(
        default=None, description="When the schedule starts the next run, jitter included; null while it is not on."
    )
    schema_version: int | None = Field(default=None, description="Version of the table's schema, from 1.")
    watermark: datetime | None = Field(
        default=None,
        description="Every object that the store had before this time is loaded, set aside or left out; see "
        "GET …/completeness.",
    )
    halt: Halt | None = Field(default=None, description="Why the ingestion was paused by itself, if it was.")


class IngestionOut(Definition):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": EXAMPLE_ANSWER})

    id: UUID
    tenant_id: str
    status: Literal["draft", "active", "paused", "error"] = Field(
        description="A draft runs when asked; active: its schedule or events are on; paused: nothing begins, on "
        "request or because ledger and table contradict each other (metadata.halt says why)."
    )
    source: SourceOut
    spark_connect_url: str | None = Field(description="Null when the cluster is not in the settings any more.")
    metadata: IngestionMetadata
    definition_version: int = Field(description="Grows with every change.")
    generation: int
    warnings: list[str] = Field(default=[], description="What is allowed, and seldom meant: a table with two writers.")
    created_at: datetime
    updated_at: datetime
    created_by: str
