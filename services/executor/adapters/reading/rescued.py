"""What was rescued of a record, read once more: as a record of its own, by the rules of its format, with the columns
that the table has by now.

What becomes of such a text depends on the text alone. So equal texts become the same, and a row is known by its text.
"""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F

from libs.common.contracts.definition import Format
from libs.common.schema import Field, Struct, literal, quoted
from services.executor.adapters.reading import json_lines
from services.executor.adapters.reading.csv_values import Cells

TEXT: Final = "autoloader_text"
REST: Final = "autoloader_rest"
"""What is left of the text; null: nothing but the file."""
UNFIT: Final = "autoloader_unfit"
"""The columns for which the text has a value that cannot go there."""
# The last member is ours (``staging``): a record may have a field of the same name before it.
_FILE = r""",("_file_path":"(?:[^"\\]|\\.)*"\})$"""
_NO_NAMES = "CAST(array() AS array<string>)"


def value(at: int) -> str:
    """The column with what goes into the column of this place; null: nothing."""
    return f"autoloader_value_{at}"


def read_again(texts: DataFrame, columns: Sequence[Field], rescued: Field, format_: Format) -> DataFrame:
    """``texts`` has the column ``TEXT``; the result has ``REST``, ``UNFIT`` and the values besides. A text that
    somebody has written otherwise than we do is left out, and so is one of which something would be lost."""
    raw = texts.where(F.col(TEXT).rlike(_FILE)).withColumn("raw", F.regexp_replace(TEXT, _FILE, "}"))
    schema = Struct((*(Field(f.name, f.type) for f in columns), rescued))
    read = _csv(raw, columns, format_) if format_.type == "csv" else _json(raw, columns, schema)
    values = [F.col("row").getField(f.name).alias(value(n)) for n, f in enumerate(columns)]
    taken = F.array_compact(
        F.array(*(F.when(F.col(value(n)).isNotNull(), F.lit(f.name)) for n, f in enumerate(columns)))
    )
    given = F.expr("map_keys(map_filter(from_json(raw, 'map<string, variant>'), (k, v) -> NOT is_variant_null(v)))")
    asked = F.array(*(F.lit(f.name) for f in columns))
    left = F.coalesce(F.json_object_keys("outside"), F.expr(_NO_NAMES))
    file = F.regexp_extract(TEXT, _FILE, 1)
    rest = F.expr("substring(outside, 1, length(outside) - 1)")
    return (
        read.select(TEXT, "outside", given.alias("given"), *values)
        .where(F.size(F.array_except("given", F.concat(taken, left))) == 0)
        .select(
            TEXT,
            F.when(F.col("outside").isNotNull(), F.concat(rest, F.lit(","), file)).alias(REST),
            F.array_intersect(F.array_except("given", taken), asked).alias(UNFIT),
            *(value(n) for n in range(len(columns))),
        )
    )


def _json(texts: DataFrame, columns: Sequence[Field], schema: Struct) -> DataFrame:
    """Also of Parquet, of which JSON was made."""
    parsed = json_lines.parse(texts, schema, mostly_plain=False)
    return parsed.where("NOT bad").withColumn("row", F.struct(*(_whole(f).alias(f.name) for f in columns)))


def _whole(column: Field) -> Column:
    """The value, if nothing in it is without a place in the column."""
    inside = F.exists("unknown", lambda name: name.startswith(f"{column.name}."))
    return F.when(~inside, F.col("row").getField(column.name))


def _csv(texts: DataFrame, columns: Sequence[Field], format_: Format) -> DataFrame:
    """Cells are texts, in JSON too."""
    cells = Cells([f.name for f in columns], format_.options.null_value)
    table = Struct(tuple(Field(f.name, f.type) for f in columns))
    struct = ", ".join(f"told[{literal(f.name)}] AS c{n}" for n, f in enumerate(columns))
    lost = {name: condition for name, condition, _ in cells.misfits(table)}
    fits = (
        f"IF({lost[f.name]}, NULL, row.{quoted(f.name)}) AS {quoted(f.name)}"
        if f.name in lost
        else f"row.{quoted(f.name)}"
        for f in columns
    )
    held = ", ".join(f"IF(row.{quoted(f.name)} IS NOT NULL, {literal(f.name)}, NULL)" for f in columns)
    kept = f"map_filter(told, (k, v) -> v IS NOT NULL AND NOT array_contains(array_compact(array({held})), k))"
    return (
        texts.withColumn("told", F.expr("from_json(raw, 'map<string, string>')"))
        .withColumn("cells", F.expr(f"struct({struct})"))
        .withColumn("row", F.expr(cells.row(table)))
        .withColumn("row", F.expr(f"struct({', '.join(fits)})"))
        .withColumn("outside", F.expr(f"IF(size({kept}) > 0, to_json({kept}), NULL)"))
    )
