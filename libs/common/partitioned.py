"""Whether a table with these columns can be partitioned so. Pure: values in, values out.

The rules are Iceberg's (its specification, "Partition Transforms"); Spark would refuse the table in words that name
neither the entry nor the remedy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from libs.common.contracts.partitioning import Transform
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.schema import Field, Struct, Type, sql
from libs.common.schema_hints import parse_hints

INFERRED: Final = SchemaRules()
"""Nothing was said about the columns."""
TIME: Final = "timestamp"
_WHOLE = frozenset({"tinyint", "smallint", "int", "bigint"})
_TEXTS = frozenset({"string", "varchar", "char", "binary"})
_TIMES = frozenset({"date", "timestamp", "timestamp_ntz"})
_FLOATS = frozenset({"float", "double"})
_TAKES = {
    "years": _TIMES,
    "months": _TIMES,
    "days": _TIMES,
    "hours": _TIMES - {"date"},
    "bucket": _WHOLE | _TEXTS | _TIMES | {"decimal"},
    "truncate": _WHOLE | _TEXTS | {"decimal"},
    "identity": _WHOLE | _TEXTS | _TIMES | _FLOATS | {"decimal", "boolean"},
}
_NEEDS = {
    "years": "a date or a timestamp",
    "months": "a date or a timestamp",
    "days": "a date or a timestamp",
    "hours": "a timestamp",
    "bucket": "a whole number, a decimal, a text, a date or a timestamp",
    "truncate": "a whole number, a decimal or a text",
    "identity": "a single value, no object, array or map",
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a table with these columns cannot be partitioned so. ``code`` is a stable word, ``hint`` the remedy."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Fit:
    """What a new table gets: its columns, and the parts with their columns spelled as the table spells them. Good only
    without ``misfits``."""

    schema: Struct
    parts: tuple[Transform, ...] = ()
    misfits: tuple[Misfit, ...] = ()

    @property
    def has_texts(self) -> bool:
        """Whether a partition can be a text as it came."""
        return any(_is_text(self.schema, part) for part in self.parts)


def fit(schema: Struct, parts: Sequence[Transform], rules: SchemaRules = INFERRED) -> Fit:
    """The columns are ``schema``'s, with one difference: who partitions by the time of a text says that it is a time,
    so that column becomes a timestamp. Unless ``rules`` have a word of their user on it."""
    fitted: list[Transform] = []
    misfits: list[Misfit] = []
    for part in parts:
        way = _way(schema, part.column)
        if way is None:
            misfits.append(_missing(part, schema))
            continue
        spelled = replace(part, column=tuple(f.name for f in way))
        if part.is_of_time and way[-1].type == "string" and not _is_said(rules, part.column):
            schema = _with_type(schema, spelled.column, TIME)
        elif (misfit := _of_type(part, way[-1].type)) is not None:
            misfits.append(misfit)
        if part.function != "identity" and any(f.name == spelled.name for f in schema.fields):
            misfits.append(_taken(spelled))
        fitted.append(spelled)
    return Fit(schema, tuple(fitted), tuple(misfits))


def _is_said(rules: SchemaRules, path: tuple[str, ...]) -> bool:
    """Whether the type of this column was written down."""
    here = tuple(name.lower() for name in path)
    hints = (tuple(name.lower() for name in hint.path) for hint in parse_hints(rules.hints))
    return rules.columns is not None or any(here[: len(hint)] == hint for hint in hints)


def _is_text(schema: Struct, part: Transform) -> bool:
    way = _way(schema, part.column)
    return part.function in ("identity", "truncate") and way is not None and way[-1].type in _TEXTS


def _way(schema: Struct, path: tuple[str, ...]) -> tuple[Field, ...] | None:
    """The fields that lead to a column, in any spelling."""
    way: list[Field] = []
    here: Type = schema
    for name in path:
        if not isinstance(here, Struct):
            return None
        found = here.get(name) or next((f for f in here.fields if f.name.lower() == name.lower()), None)
        if found is None:
            return None
        way.append(found)
        here = found.type
    return tuple(way)


def _of_type(part: Transform, found: Type) -> Misfit | None:
    if isinstance(found, str) and found.split("(")[0] in _TAKES[part.function]:
        return None
    return Misfit(
        "partition_type",
        f"destination.partitioning has {part}, which needs {_NEEDS[part.function]}; {part.column_name} is {sql(found)}",
        "correct the entry in destination.partitioning.columns",
    )


def _missing(part: Transform, schema: Struct) -> Misfit:
    names = ", ".join(f.name for f in schema.fields[:10]) + (", …" if len(schema.fields) > 10 else "")
    return Misfit(
        "partition_column_missing",
        f"destination.partitioning has {part}, and the first files have no field {part.column_name} "
        f"(they have {names or 'none at all'})",
        "correct the entry in destination.partitioning.columns, or begin with files that have the field",
    )


def _taken(part: Transform) -> Misfit:
    return Misfit(
        "partition_name_taken",
        f"destination.partitioning has {part}, whose partition Iceberg would call {part.name!r}, and the files have a "
        "field of that name",
        f"partition by {part.name} itself, or rename the field",
    )


def _with_type(found: Struct, path: tuple[str, ...], to: str) -> Struct:
    head, *rest = path
    return Struct(
        tuple(
            f
            if f.name != head
            else replace(f, type=_with_type(f.type, tuple(rest), to) if rest and isinstance(f.type, Struct) else to)
            for f in found.fields
        )
    )
