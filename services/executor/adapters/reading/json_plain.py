"""A cheap proof that a line of JSON is *plain*: one object, all of its fields known, and each held whole by its column.

Nearly all lines are. To look for unknown names, a line is read once more, and that costs about as much as reading it;
to prove that there are none takes counting colons. Each field of an object has one colon between its name and its
value. So a line has at least as many as it has fields, and those that stand in the values beside. The known fields that
have a value, and the colons in what was parsed of them, give a number; if the line has no more colons than that, there
was no other field, no null and no key that comes twice, at any depth.

What is not proved is no worse for it: it is looked at in the other way.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import add, and_

from pyspark.sql import Column as SparkColumn
from pyspark.sql.connect import functions as F

from libs.common.schema import Field, Struct

FIELDS_MAX = 200
"""With more fields nothing is proved: so many questions about each line cost more than to read it once more."""
_SIGNS = ("", "+", "-")
_NO_NUMBERS = ("NaN", *(f"{sign}{word}" for sign in _SIGNS for word in ("INF", "Infinity")))
"""Words that the parser takes for numbers, though no JSON has them."""


def is_plain(schema: Struct, corrupt: str) -> SparkColumn:
    """Whether it is proved of the line ``raw``, by ``row``, what was parsed of it; its field ``corrupt`` is null when
    all of it fitted. Never null. Whether the line is text of its encoding is not asked."""
    if len(schema.fields) > FIELDS_MAX:
        return F.lit(False)
    raw, row = F.col("raw"), F.col("row")
    behind_colons = F.substring_index(raw, ":", -1)
    evidence = [
        row.getField(corrupt).isNull(),
        raw.startswith("{"),
        # A colon may be written as an escape.
        ~raw.contains("\\u"),
        _has_at_most(raw, ":", explained(row, schema.fields)),
        # All colons are the object's. So it ends behind the last one, and whatever follows it is there, too: nothing,
        # if the first brace that closes is the last character.
        behind_colons.endswith("}"),
        _has_at_most(behind_colons, "}", F.lit(1)),
        *json_alone(row, schema.fields),
    ]
    return F.coalesce(combined(and_, evidence), F.lit(False))


def combined(combine: Callable[[SparkColumn, SparkColumn], SparkColumn], parts: Sequence[SparkColumn]) -> SparkColumn:
    """All parts, in their order, as a tree: a chain of hundreds is too deep to be sent as a plan."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return combine(combined(combine, parts[:middle]), combined(combine, parts[middle:]))


def _has_at_most(text: SparkColumn, mark: str, count: SparkColumn) -> SparkColumn:
    """Nothing is cut off from the mark after these. To count them all would make a text without them."""
    return F.octet_length(F.substring_index(text, mark, count + 1)) == F.octet_length(text)  # type: ignore[arg-type]


def explained(struct: SparkColumn, fields: Sequence[Field]) -> SparkColumn:
    """How many colons of a struct's text are those of known fields. Of what cannot be told, at the least."""
    return combined(add, [F.lit(0), *(_of_field(struct.getField(f.name), f) for f in fields)])


def _of_field(value: SparkColumn, field: Field) -> SparkColumn:
    if field.type != "string":
        return F.when(value.isNotNull(), 1).otherwise(0)
    return F.coalesce(_colons(value) + 1, F.lit(0))


def _colons(text: SparkColumn) -> SparkColumn:
    return F.octet_length(text) - F.octet_length(F.replace(text, F.lit(":"), F.lit("")))


def json_alone(struct: SparkColumn, fields: Sequence[Field]) -> Iterator[SparkColumn]:
    """That no value is a number which JSON does not know; what is proved of a value is true of null."""
    for f in fields:
        value = struct.getField(f.name)
        match f.type:
            case "float" | "double":
                yield F.coalesce(F.abs(value) < float("inf"), F.lit(True))  # NaN is larger
            case "string":
                # Of an object or a list it holds the text.
                nested = value.startswith("{") | value.startswith("[")
                odd = value.isin([*_NO_NUMBERS, *(f'"{word}"' for word in _NO_NUMBERS)])
                yield ~F.coalesce(nested | odd, F.lit(False))
            case str() if f.type != "variant":
                pass
            case _:
                # In whatever is nested, of what stands in the line.
                yield combined(and_, [~F.col("raw").contains(word) for word in ("NaN", "INF", "Infinity")])
