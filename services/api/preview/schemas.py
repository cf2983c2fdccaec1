"""What clients get about previews."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from libs.common.schema import sql
from services.api.preview.listing import Listed
from services.api.preview.sample import Column, Sample
from services.api.preview.shown import row_of, shown
from services.api.preview.warnings import COLUMNS_MAX, Warned

_EXAMPLE: dict[str, Any] = {
    "file_count": 10,
    "files": {
        "objects": 12,
        "matching": 10,
        "size_bytes": 1048576000,
        "is_complete": True,
        "first_keys": ["flights/2013-01.json", "flights/2013-02.json"],
        "excluded": [
            {
                "reason": "its name does not match source.file_pattern *.json",
                "count": 2,
                "examples": ["flights/_SUCCESS", "flights/readme.txt"],
            }
        ],
    },
    "sample": {"files": 10, "records": 10000, "bad_lines": 0, "bytes_read": 10485760, "seconds": 0.9},
    "schema": [
        {
            "name": "carrier",
            "type": "string",
            "null_share": 0.0,
            "example": "UA",
            "files": 10,
            "first_file": "flights/2013-01.json",
        },
        {
            "name": "dep_delay",
            "type": "double",
            "null_share": 0.024,
            "example": 2.0,
            "files": 10,
            "first_file": "flights/2013-01.json",
        },
    ],
    "sample_rows": [{"carrier": "UA", "dep_delay": 2.0}],
    "warnings": [
        {
            "code": "sample_is_a_part",
            "message": "types come from the first lines of 10 of 10 files (1,048,576 bytes and 1,000 lines of each)",
            "hint": "what comes later may add fields or change types",
        }
    ],
}


class ExcludedOut(BaseModel):
    reason: str
    count: int
    examples: list[str]


class FilesOut(BaseModel):
    """What is under the source's path."""

    objects: int = Field(description="All of them, wanted or not.")
    matching: int = Field(description="Those that a first run would load.")
    size_bytes: int = Field(description="Of the matching ones.")
    is_complete: bool = Field(description="False: the listing was ended by a bound, and there are more.")
    first_keys: list[str]
    excluded: list[ExcludedOut]


class SampleOut(BaseModel):
    """What was read: the first bytes of files that are spread over the listing."""

    files: int
    records: int
    bad_lines: int = Field(description="Lines that are not one JSON object.")
    bytes_read: int
    seconds: float = Field(description="How long the preview took.")


class ColumnOut(BaseModel):
    """A column that a new table would get, and what that rests on."""

    name: str
    type: str = Field(description="As SQL writes it.", examples=["bigint"])
    null_share: float | None = Field(description="0 to 1, of the sample's records; a record without the field counts.")
    example: Any = Field(description="The first value that is not null.")
    files: int = Field(description="Of the sample's files, those that have the field.")
    first_file: str | None


class WarningOut(BaseModel):
    code: str = Field(description="A stable word that programs may compare.")
    message: str
    hint: str = Field(description="What to do about it.")


class Preview(BaseModel):
    """What an ingestion would find and make of it."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    file_count: int = Field(description="As files.matching.")
    files: FilesOut
    sample: SampleOut
    columns: list[ColumnOut] = Field(alias="schema")
    sample_rows: list[dict[str, Any]] = Field(description="The first records, in the table's columns.")
    warnings: list[WarningOut]


def preview_of(listed: Listed, sample: Sample, warnings: list[Warned], seconds: float) -> Preview:
    """The answer."""
    schema = sample.schema
    schema = type(schema)(schema.fields[:COLUMNS_MAX])
    return Preview(
        file_count=listed.files,
        files=FilesOut(
            objects=listed.objects,
            matching=listed.files,
            size_bytes=listed.size_bytes,
            is_complete=listed.is_complete,
            first_keys=listed.first_keys,
            excluded=[
                ExcludedOut(reason=reason, count=excluded.count, examples=excluded.examples)
                for reason, excluded in listed.excluded.items()
            ],
        ),
        sample=SampleOut(
            files=sample.files,
            records=sample.records,
            bad_lines=sum(bad.count for bad in sample.bad),
            bytes_read=sample.bytes_read,
            seconds=round(seconds, 3),
        ),
        schema=[_column(f.name, f.type, sample) for f in schema.fields],
        sample_rows=[row_of(record, schema) for record in sample.rows],
        warnings=[WarningOut(code=w.code, message=w.message, hint=w.hint) for w in warnings],
    )


def _column(name: str, found: Any, sample: Sample) -> ColumnOut:
    seen = sample.columns.get(name, Column())
    return ColumnOut(
        name=name,
        type=sql(found),
        null_share=round(1 - seen.values / sample.records, 4) if sample.records else None,
        example=shown(seen.example, found),
        files=seen.files,
        first_file=seen.first_file or None,
    )
