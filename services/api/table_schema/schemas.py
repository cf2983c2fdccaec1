"""What clients get about a table's columns and their history."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.common.contracts.schema_rules import EvolutionMode

_COLUMNS: list[Any] = [{"name": "id", "type": "bigint"}, {"name": "region", "type": "string"}]
_EXAMPLE_VERSION: dict[str, Any] = {
    "version": 2,
    "generation": 1,
    "columns": _COLUMNS,
    "changes": [
        {
            "kind": "added",
            "column": "region",
            "type": "string",
            "before": None,
            "file": "s3://landing/orders/2025-01-07.json",
            "example": '"emea"',
        }
    ],
    "mode": "add_new_columns",
    "run_id": "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10",
    "created_at": "2025-01-07T12:34:56Z",
}


class ColumnOut(BaseModel):
    name: str
    type: str = Field(description="As SQL writes it.", examples=["bigint"])


class ChangeOut(BaseModel):
    """What became different, against the version before."""

    kind: Literal["added", "changed", "dropped"]
    column: str = Field(description="Its path: meta.ts, items.element.price.")
    type: str | None = Field(description="What it is now; null: it is gone.")
    before: str | None = Field(description="What it was.")
    file: str | None = Field(
        default=None, description="A file that asked for it; null: somebody else changed the table, or it is not known."
    )
    example: str | None = Field(default=None, description="A value of it in that file, as JSON, shortened.")


class SchemaVersionOut(BaseModel):
    """The columns as a batch left them."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_VERSION})

    version: int = Field(description="From 1, for each generation of the table.")
    generation: int
    columns: list[ColumnOut]
    changes: list[ChangeOut]
    mode: EvolutionMode | None = Field(description="The schema_evolution_mode of that run.")
    run_id: UUID | None = Field(description="The run whose batch was the first to end with these columns.")
    created_at: datetime


_EXAMPLE: dict[str, Any] = {
    "version": 2,
    "generation": 1,
    "columns": _COLUMNS,
    "since": "2025-01-07T12:34:56Z",
    "mode": "add_new_columns",
    "held": [
        {
            "column": "meta.campaign",
            "type": "string",
            "file": "s3://landing/orders/2025-01-08.json",
            "example": '"spring"',
            "run_id": "7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10",
            "since": "2025-01-08T12:34:56Z",
        }
    ],
    "rejected": ["debug"],
}


class HeldOut(BaseModel):
    """A new column that somebody has to approve or to reject."""

    column: str = Field(description="Its path: meta.ts, items.element.price.")
    type: str
    file: str | None = Field(description="One that has it.")
    example: str | None = Field(description="A value of it in that file, as JSON, shortened.")
    run_id: UUID | None = Field(description="The run that met it first.")
    since: datetime


class SchemaOut(BaseModel):
    """The columns of the table, as the last batch that changed them left them, and what is said of others."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    version: int | None = Field(description="Null: nothing is loaded yet.")
    generation: int
    columns: list[ColumnOut]
    since: datetime | None
    mode: EvolutionMode = Field(description="What becomes of fields that the table lacks, from the next run on.")
    held: list[HeldOut] = Field(description="New columns that wait for a decision; so do the files that have them.")
    rejected: list[str] = Field(description="Fields that no column takes, also where the table has one of that name.")


class RollbackOut(SchemaOut):
    """The columns after a rollback."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE, "kept": []}})

    kept: list[ChangeOut] = Field(
        description="What came after that version and stays: wider types, and fields inside of structs."
    )


class ColumnsIn(BaseModel):
    """Which columns are meant."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"columns": ["meta.campaign"]}})

    columns: list[Annotated[str, Field(min_length=1, max_length=1000)]] | None = Field(
        default=None, min_length=1, max_length=1000, description="Their paths. Null: all that wait for a decision."
    )


class RollbackIn(BaseModel):
    """Which version is meant."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"version": 1}})

    version: int = Field(ge=1, le=2**31 - 1, description="One of GET …/schema/versions.")
