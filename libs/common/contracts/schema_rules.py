"""What a user says about the columns of a table: where they come from, and what may become of them."""

import re
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from libs.common.contracts.part import Part
from libs.common.ddl import columns_of, parse_columns, written_path
from libs.common.schema import Struct, Type, sql
from libs.common.schema_hints import parse_hints

EvolutionMode = Literal[
    "add_new_columns", "add_new_columns_with_type_widening", "rescue", "fail_on_new_columns", "none"
]
RESCUED_DATA = "_rescued_data"
_ADDS_COLUMNS = ("add_new_columns", "add_new_columns_with_type_widening")


class SchemaRules(Part):
    """Where a table's columns come from, and what may become of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    inference: Literal["auto", "manual"] = Field(
        default="auto", description="auto: from the first batch's files; manual: from schema_json."
    )
    evolution_enabled: bool = Field(default=True, description="False: files change no column.")
    given: dict[str, Any] | str | None = Field(
        default=None,
        alias="schema_json",
        description="With inference manual: the JSON of a Spark StructType, or a DDL string.",
        examples=["id bigint, price decimal(10,2), meta struct<ts: timestamp>"],
    )
    hints: dict[str, str] = Field(
        default_factory=dict,
        description="Types of fields, by their paths; they count for more than what values look like. Also accepted as "
        "schema_hints, and as a DDL string.",
        examples=[{"price": "decimal(10,2)", "meta.ts": "timestamp", "tags": "map<string,string>"}],
    )
    evolution_mode: EvolutionMode | None = Field(
        default=None,
        alias="schema_evolution_mode",
        description="What becomes of fields that the table lacks. Null: add_new_columns, or none where "
        "evolution_enabled is false.",
    )

    hold_new_columns: bool = Field(
        default=False,
        description="True: files with fields that the table lacks wait until somebody approves or rejects the columns.",
    )
    rescued_data_column: str | None = Field(
        default=None,
        description="A column that takes, as JSON, fields that the table lacks and values that do not fit their "
        f"columns. Null: {RESCUED_DATA} in mode rescue, none in others.",
        examples=[RESCUED_DATA],
    )

    @model_validator(mode="before")
    @classmethod
    def _knows_the_other_spelling(cls, sent: Any) -> Any:
        if not isinstance(sent, dict) or "schema_hints" not in sent:
            return sent
        if sent.get("hints"):
            raise ValueError("hints and schema_hints are the same; leave one of them out")
        return {**{k: v for k, v in sent.items() if k != "schema_hints"}, "hints": sent["schema_hints"]}

    @field_validator("rescued_data_column")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name):
            raise ValueError(f"{name!r} is no usable name; use letters, digits and underscores, as in {RESCUED_DATA}")
        return name

    @field_validator("given")
    @classmethod
    def _names_columns(cls, given: dict[str, Any] | str | None) -> dict[str, Any] | str | None:
        if given is not None:
            columns_of(given)
        return given

    @field_validator("hints", mode="before")
    @classmethod
    def _by_path(cls, hints: Any) -> Any:
        if isinstance(hints, str):
            return {written_path((f.name,)): sql(f.type) for f in parse_columns(hints).fields}
        return hints

    @field_validator("hints")
    @classmethod
    def _name_types(cls, hints: dict[str, str]) -> dict[str, str]:
        parse_hints(hints)
        return hints

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "SchemaRules":
        if self.inference == "manual" and self.given is None:
            raise ValueError("inference 'manual' needs schema_json: the columns of the table")
        if self.inference == "auto" and self.given is not None:
            raise ValueError("schema_json has no effect with inference 'auto'; write 'manual', or leave it out")
        if not self.evolution_enabled and self.evolution_mode in _ADDS_COLUMNS:
            raise ValueError(
                f"schema_evolution_mode {self.evolution_mode!r} contradicts evolution_enabled false; leave one of them "
                "out"
            )
        if self.hold_new_columns and not self.adds_columns:
            raise ValueError(
                f"hold_new_columns has no effect with schema_evolution_mode {self.mode!r}, which adds no column; "
                "leave it out"
            )
        return self

    @property
    def mode(self) -> EvolutionMode:
        return self.evolution_mode or ("add_new_columns" if self.evolution_enabled else "none")

    @property
    def adds_columns(self) -> bool:
        """Whether fields that the table lacks may become columns."""
        return self.mode in _ADDS_COLUMNS

    @property
    def rescued_column(self) -> str | None:
        """The name of the column for what no other holds; None: there is none."""
        return self.rescued_data_column or (RESCUED_DATA if self.mode == "rescue" else None)

    def types(self) -> tuple[Type, ...]:
        """Every type that was written down."""
        return (*(hint.type for hint in parse_hints(self.hints)), *([self.columns] if self.columns else ()))

    @property
    def columns(self) -> Struct | None:
        """The columns that were given; None: they are inferred."""
        return None if self.given is None else columns_of(self.given)
