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


_RESCUED = MARK + "what of the record no other column holds, as JSON"
"""The comment of the column that takes what is rescued. Its name is the user's."""
FROM_KEY = MARK + "what the file's key says"
"""The comment of a column that keys fill, while a batch is read: no table has it (``from_keys.marked``)."""


def is_ours(field: Field) -> bool:
    """Whether this column of a table is filled by us, and not from the field of its name."""
    if is_rescued(field) or is_from_key(field):
        return True
    return field.name in _COLUMNS and field.comment.startswith(MARK)


def is_from_key(field: Field) -> bool:
    """Whether this column takes what a folder of the file's key says."""
    return field.comment == FROM_KEY


def is_rescued(field: Field) -> bool:
    """Whether this column takes the fields and values that no other column holds."""
    return field.comment == _RESCUED


def is_rescuing(schema: Struct) -> bool:
    """Whether nothing that a record holds is lost, or a reason to refuse it, in a table of this schema."""
    return any(map(is_rescued, schema.fields))


def data_of(schema: Struct) -> Struct:
    """The columns that are filled from what is in the files."""
    return Struct(tuple(f for f in schema.fields if not is_ours(f)))


def with_provenance(first: Struct, names: Sequence[MetadataColumn], rescued: str | None = None) -> Struct:
    """The schema of a new table; ``rescued`` names the column for what no other holds. A field of the data whose name
    we take has no column: its file is told of the clash, as it is in a table that was there before."""
    ours = _asked_for(names, rescued)
    taken = {f.name.lower() for f in ours}
    return Struct((*(f for f in first.fields if f.name.lower() not in taken), *ours))


def lacking_provenance(
    table: str, schema: Struct, names: Sequence[MetadataColumn], rescued: str | None = None
) -> tuple[Field, ...]:
    """The columns that the table has to be given.

    Raises:
        Permanent: code ``metadata_column_taken``: it has a column of that name which is not ours.
    """
    by_lower = {f.name.lower(): f for f in schema.fields}
    ours = _asked_for(names, rescued)
    twins = [(f, by_lower[f.name.lower()]) for f in ours if f.name.lower() in by_lower]
    taken = [twin.name for f, twin in twins if is_rescued(f) != is_rescued(twin) or not is_ours(twin)]
    if taken:
        raise Permanent(
            f"{table} has a column {', '.join(taken)} of its own, so Autoloader cannot use that name",
            code="metadata_column_taken",
            hint="leave it out of destination.metadata_columns, name another format.schema.rescued_data_column, or "
            f"rename the table's column. If it is meant for this, begin its comment with {MARK!r}",
        )
    return tuple(f for f in ours if f.name.lower() not in by_lower)


def _asked_for(names: Sequence[MetadataColumn], rescued: str | None) -> tuple[Field, ...]:
    return (*(_COLUMNS[name] for name in names), *([Field(rescued, "string", comment=_RESCUED)] if rescued else ()))
