"""What of a line of JSON no column holds whole: values that do not fit, and fields that the schema lacks.

Asked only of lines that have such; all others pay a look at one flag.
"""

from collections.abc import Iterable

from pyspark.sql import Column as SparkColumn
from pyspark.sql.connect import functions as F
from pyspark.sql.types import StringType, StructType

from libs.common.schema import Field, Struct, to_json

# The line as a map: each field with its value, of whatever type.
_VALUES = "from_json(raw, 'map<string, variant>')"
_GIVEN = f"map_keys(map_filter({_VALUES}, (name, value) -> NOT is_variant_null(value)))"


def misfits(schema: Struct, corrupt: str) -> SparkColumn:
    """The columns for which the line ``raw`` has a value that does not fit; never null. ``row`` is what was parsed of
    the line, null where it did not fit, and its field ``corrupt`` says whether there is such a thing."""
    scalars = [f for f in schema.fields if isinstance(f.type, str)]
    parsed = F.json_object_keys(F.to_json(F.col("row")))
    lost = F.array_intersect(_names(f.name for f in scalars), F.array_except(F.expr(_GIVEN), parsed))
    # Of a struct, an array or a map, the parser keeps what fits. So each is parsed again, alone.
    in_part = [F.when(_is_partial(f, corrupt), F.array(F.lit(f.name))) for f in schema.fields if f not in scalars]
    found = F.concat(lost, *(F.coalesce(one, _names(())) for one in in_part))
    has_some = F.col("row").getField(corrupt).isNotNull() & F.col("keys").isNotNull()
    return F.coalesce(F.when(has_some, found), _names(()))


def without(row: SparkColumn, schema: Struct, corrupt: str) -> SparkColumn:
    """The row whose columns hold a value whole, or not at all."""
    return F.struct(
        *(
            F.when(~F.array_contains("misfits", f.name), row.getField(f.name)).alias(f.name)
            if not isinstance(f.type, str)
            else row.getField(f.name).alias(f.name)
            for f in schema.fields
        ),
        row.getField(corrupt).alias(corrupt),
    )


def outside(schema: Struct) -> SparkColumn:
    """A JSON object of the line's fields that no column holds whole, as they stand there; null if there is none. A null
    is nothing that could be lost."""
    known = _names(f.name for f in schema.fields)
    # Something unknown further in is told as field.inner: then the whole field is kept.
    grown = F.filter(
        known, lambda name: F.exists("unknown", lambda found: found.startswith(F.concat(name, F.lit("."))))
    )
    names = F.concat(F.array_except("keys", known), grown, F.col("misfits"))
    kept = F.map_filter(
        F.expr(_VALUES),
        lambda name, value: F.array_contains(names, name) & ~F.call_function("is_variant_null", value),
    )
    return F.when((F.size(names) > 0) & (F.size(kept) > 0), F.to_json(kept))


def _is_partial(field: Field, corrupt: str) -> SparkColumn:
    alone = StructType.fromJson(to_json(Struct((field,)))).add(corrupt, StringType())
    return F.from_json("raw", alone, {"columnNameOfCorruptRecord": corrupt}).getField(corrupt).isNotNull()


def _names(names: Iterable[str]) -> SparkColumn:
    given = [F.lit(name) for name in names]
    return F.array(*given) if given else F.expr("array()").cast("array<string>")
