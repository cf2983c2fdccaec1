"""Where each row came from: columns of ours beside the data's, in tables of users who asked for them.

A table's column is ours if it has one of our names *and* our mark in its comment: data may have a field of the same
name, and a table may have been made by others. Once such a column is there, every batch fills it.
"""

from collections.abc import Sequence
from dataclasses import replace

from libs.common.contracts.definition import MetadataColumn
from libs.common.errors import Permanent
from libs.common.schema import Field, Struct

MARK = "autoloader: "
"""What the comment of a column of ours begins with."""
FILE_PATH: MetadataColumn = "_file_path"

_COLUMNS: dict[str, Field] = {
    field.name: replace(field, comment=MARK + field.comment)
    for field in (
        Field(FILE_PATH, "string", comment="the file that the row was read from"),
        Field("_file_version", "string", comment="that file's version: ETag, colon, size in bytes"),
        Field("_loaded_at", "timestamp", comment="when the row was read"),
        Field("_run_id", "string", comment="the run that loaded the row"),
    )
}


def is_ours(field: Field) -> bool:
    """Whether this column of a table holds what we know of its rows, and nothing that was in a file."""
    return field.name in _COLUMNS and field.comment.startswith(MARK)


def data_of(schema: Struct) -> Struct:
    """The columns that are filled from what is in the files."""
    return Struct(tuple(f for f in schema.fields if not is_ours(f)))


def with_provenance(first: Struct, names: Sequence[MetadataColumn]) -> Struct:
    """The schema of a new table. A field of the data whose name we take has no column: its file is told of the clash,
    as it is in a table that was there before."""
    wanted = set(names)
    data = tuple(f for f in first.fields if f.name.lower() not in wanted)
    return Struct((*data, *(_COLUMNS[name] for name in names)))


def lacking_provenance(table: str, schema: Struct, names: Sequence[MetadataColumn]) -> tuple[Field, ...]:
    """The columns that the table has to be given.

    Raises:
        Permanent: code ``metadata_column_taken``: it has a column of that name which is not ours.
    """
    by_lower = {f.name.lower(): f for f in schema.fields}
    taken = [twin.name for name in names if (twin := by_lower.get(name)) is not None and not is_ours(twin)]
    if taken:
        raise Permanent(
            f"{table} has a column {', '.join(taken)} of its own, so destination.metadata_columns cannot use that name",
            code="metadata_column_taken",
            hint="leave it out of destination.metadata_columns, or rename the table's column. If it is meant for this, "
            f"begin its comment with {MARK!r}",
        )
    return tuple(_COLUMNS[name] for name in names if name not in by_lower)
