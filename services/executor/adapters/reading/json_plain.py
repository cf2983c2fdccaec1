"""A cheap proof that a line of JSON is *plain*: one object, all of its fields known, and each held whole by its column.

Nearly all lines are. To look for unknown names, a line is read once more, and that costs about as much as reading it;
to prove that there are none takes counting colons. Each field of an object has one colon between its name and its
value. So a line has at least as many as it has fields, and those that stand in the values beside. The known fields that
have a value, and the colons in what was parsed of them, give a number; if the line has no more colons than that, there
was no other field, no null and no key that comes twice, at any depth.

What is not proved is no worse for it: it is looked at in the other way.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add, and_

from pyspark.sql import Column as SparkColumn
from pyspark.sql.connect import functions as F

from libs.common.schema import Field, Struct

_NO_NUMBERS = ("NaN", "INF", "Infinity")
"""Words that the parser takes for numbers, though no JSON has them."""


def is_plain(schema: Struct, corrupt: str) -> SparkColumn:
    """Whether it is proved of the line ``raw``, by ``row``, what was parsed of it; its field ``corrupt`` is null when
    all of it fitted. Never null. Whether the line is text of its encoding is not asked."""
    raw = F.col("raw")
    evidence = [
        F.col("row").getField(corrupt).isNull(),
        raw.startswith("{"),
        # The first brace that closes is the last character: nothing follows the object. With objects in it there is
        # an earlier one.
        F.octet_length(F.substring_index(raw, "}", 1)) == F.octet_length(raw) - 1,
        # A colon may be written as an escape.
        ~raw.contains("\\"),
        *(~raw.contains(word) for word in _NO_NUMBERS),
        _colons(raw) == _explained(F.col("row"), schema.fields),
    ]
    return F.coalesce(reduce(and_, evidence), F.lit(False))


def _explained(struct: SparkColumn, fields: Sequence[Field]) -> SparkColumn:
    """How many colons of a struct's text are those of known fields. Of what cannot be told, at the least."""
    return reduce(add, (_of_field(struct.getField(f.name), f) for f in fields), F.lit(0))


def _of_field(value: SparkColumn, field: Field) -> SparkColumn:
    within = F.when(value.contains(":"), _colons(value)).otherwise(0) if field.type == "string" else F.lit(0)
    return F.when(value.isNotNull(), within + 1).otherwise(0)


def _colons(text: SparkColumn) -> SparkColumn:
    return F.octet_length(text) - F.octet_length(F.replace(text, F.lit(":"), F.lit("")))
