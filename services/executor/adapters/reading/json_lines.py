"""JSON, one object per line.

Lines are read as text and parsed with the known schema (``from_json``), so that a bad line stays what it was, and names
that the schema lacks are seen in the same pass.
"""

from collections.abc import Sequence

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.types import StringType, StructType

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Array, Field, Map, Struct, Type, quoted, structs_in, to_json
from services.executor.adapters.reading import json_plain, json_schema, plain_lines
from services.executor.adapters.reading.json_misfits import misfits, outside, without
from services.executor.adapters.reading.json_reasons import reason
from services.executor.adapters.reading.json_schema import CORRUPT as _CORRUPT
from services.executor.adapters.reading.origin import Origin
from services.executor.domain.provenance import data_of, is_rescuing

# gzip has a checksum: whatever is not whole fails the read, so one without a line holds none. Not so .bz2, .snappy and
# .lz4: Spark reads plain text under such a name as nothing at all.
_SELF_CHECKED = "gzip"
# Spark's parser stops at the end of the first value: of {"a":1}{"a":2} on one line it would drop the second object
# without a word. So each line is also read as the first of exactly two elements of an array, ours being the second.
_END = "autoloader:end-of-line"
# To trim costs more than to look at one character.
_IS_BLANK = "NOT startswith(raw, '{') AND trim(BOTH ' \\t\\r' FROM raw) = ''"
# An object ends with a brace: where a line's first brace is its last character, nothing can follow, and no second look
# is needed.
_IS_ONE_VALUE = (
    "(instr(raw, '}') = length(trim(TRAILING ' \\t\\r' FROM raw)) "
    f"OR get_json_object(concat('[', raw, ',\"{_END}\"]'), '$[1]') <=> '{_END}')"
)


class JsonLines:
    """See ``reader.Reader``."""

    def infer(self, origin: Origin, files: Sequence[FileVersion]) -> Struct:
        # Not reader.json(paths): that refuses all files as soon as one object of them has a key twice.
        return json_schema.inferred(origin.spark, _lines(origin, files).select("raw"))

    def records(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        data = data_of(schema)
        if not data.fields or not plain_lines.lent(origin.spark):
            return parse(origin.with_files(_lines(origin, files), files), schema)
        required = [f.name for f in data.fields if f.required]
        lines = plain_lines.records(origin, files, _record_of(data), _CORRUPT, required)
        return _judged(origin.with_known(lines, files), schema, plain="raw IS NULL")

    def numbered(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        lines = origin.with_files(origin.with_lines(_lines(origin, files)), files)
        return explained(parse(lines, schema, mostly_plain=False), schema)

    def known_empty(self, origin: Origin, files: Sequence[FileVersion]) -> frozenset[bytes]:
        return frozenset(f.digest for f in files if origin.compression_of(f) == _SELF_CHECKED)

    def check(self, origin: Origin, file: FileVersion) -> None:
        _lines(origin, [file]).agg(F.count("raw")).collect()


def _lines(origin: Origin, files: Sequence[FileVersion]) -> DataFrame:
    return origin.text(files).withColumnRenamed("value", "raw")


def parse(lines: DataFrame, schema: Struct, *, mostly_plain: bool = True) -> DataFrame:
    """Parses lines of JSON, ``raw``, and adds what ``_judged`` adds.

    ``mostly_plain``: it pays to prove that first. Not where rows are chosen by what this adds: Spark then asks for each
    thing anew wherever it is named, and the proof names each field many times.
    """
    data = data_of(schema)
    parsed = lines.withColumn("row", _parsed(data))
    proved = parsed.withColumn("plain", json_plain.is_plain(data, _CORRUPT) if mostly_plain else F.lit(False))
    keys = F.when(F.col("plain"), _no_names()).otherwise(F.expr("json_object_keys(raw)"))
    return _judged(proved.withColumn("keys", keys), schema, plain="plain")


def _judged(parsed: DataFrame, schema: Struct, *, plain: str) -> DataFrame:
    """Adds ``blank``, ``bad``, ``unknown``, ``misfits`` and ``outside`` to lines, ``raw``, of which ``row`` was parsed,
    and ``keys``, their names. ``plain`` says in SQL of which it is known that all of their names are columns, and all
    of their values fit (``json_plain``). Where ``raw`` is null, nothing is asked.

    Each record is copied for each step between two columns of which one asks for the other. So nothing asks for what is
    cheap to ask for twice."""
    rescues = is_rescuing(schema)
    schema = data_of(schema)
    is_plain, is_blank = F.expr(plain), f"(raw IS NOT NULL AND {_IS_BLANK})"
    faults = _faults(schema, plain, rescues=rescues)
    found = (
        parsed.withColumn("blank", F.expr(is_blank))
        .withColumn("misfits", F.when(is_plain, _no_names()).otherwise(misfits(schema, _CORRUPT)))
        .withColumn("bad", F.expr(f"raw IS NOT NULL AND NOT {is_blank} AND ({faults})"))
        .withColumn("unknown", F.when(is_plain, _no_names()).otherwise(_unknown(schema)))
    )
    if not rescues:
        return found.withColumn("outside", F.lit(None).cast("string"))
    is_there = F.col("raw").isNotNull()
    held = F.when(is_there, without(F.col("row"), schema, _CORRUPT)).otherwise(F.col("row"))
    return found.withColumn("row", held).withColumn("outside", F.when(is_there, outside(schema)))


def _parsed(schema: Struct) -> SparkColumn:
    """What Spark's parser makes of ``raw``: a struct of the schema's fields, and ``_CORRUPT``, null if all fits."""
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT}
    return F.from_json("raw", _record_of(schema), options)


def _record_of(schema: Struct) -> StructType:
    return StructType.fromJson(to_json(schema)).add(_CORRUPT, StringType())


def explained(parsed: DataFrame, schema: Struct) -> DataFrame:
    """Adds ``reason`` to what ``parse`` gives."""
    why = reason(data_of(schema), _CORRUPT, _IS_ONE_VALUE)
    return parsed.withColumn("reason", F.expr(f"CASE WHEN bad THEN {why} END"))


def _faults(schema: Struct, plain: str, *, rescues: bool) -> str:
    """What makes a line bad, as SQL. Never null. A value that does not fit is no fault where it is kept elsewhere."""
    faults = [
        "keys IS NULL",
        f"row.{_CORRUPT} IS NOT NULL" + (" AND size(misfits) = 0" if rescues else ""),
        f"NOT ({plain} OR {_IS_ONE_VALUE})",
        # The parser would put a replacement character for each stray byte, and the value would be lost.
        "NOT is_valid_utf8(raw)",
        *(f"row.{quoted(f.name)} IS NULL" for f in schema.fields if f.required),
    ]
    if not schema.fields:
        faults.append("true")  # a table without a column can hold no row, not even an empty one
    return " OR ".join(faults)


def _unknown(schema: Struct) -> SparkColumn:
    return F.concat(*(_unknown_in(schema, path, struct) for path, struct in structs_in(schema)))


def _unknown_in(schema: Struct, path: tuple[str, ...], struct: Struct) -> SparkColumn:
    """Names that a line has at ``path`` and the schema has not, in dotted form."""
    known = F.array(*(F.lit(f.name) for f in struct.fields)) if struct.fields else F.expr("array()")
    names = F.coalesce(F.array_except(_keys_at(schema, path), known.cast("array<string>")), _no_names())
    prefix = ".".join(path)
    return F.transform(names, lambda name: F.concat(F.lit(f"{prefix}."), name)) if path else names


def _keys_at(schema: Struct, path: tuple[str, ...]) -> SparkColumn:
    if not path:
        return F.col("keys")
    if _can_be_asked_for(schema, path):
        here = "$" + "".join(f"['{name}']" for name in path)
        return F.json_object_keys(F.get_json_object(F.col("raw"), here))
    # Read once more, with a type that has only what lies on the way and takes the object at its end as a map.
    way = _way(schema, path)
    assert isinstance(way, Struct)
    return _keys_of(F.from_json("raw", StructType.fromJson(to_json(way))), way)


def _can_be_asked_for(schema: Type, path: tuple[str, ...]) -> bool:
    """JSON paths do not lead into every element of an array, and have no way to quote a quote."""
    for name in path:
        found = schema.get(name) if isinstance(schema, Struct) else None
        if found is None or "'" in name:
            return False
        schema = found.type
    return True


def _way(found: Type, path: tuple[str, ...]) -> Type:
    match found:
        case Struct() if path:
            ahead = found.get(path[0])
            assert ahead is not None
            return Struct((Field(ahead.name, _way(ahead.type, path[1:])),))
        case Array(element=inner):
            return Array(_way(inner, path[1:]))
        case Map(key=key, value=inner):
            return Map(key, _way(inner, path[1:]))
        case _:
            return Map("string", "string")


def _keys_of(value: SparkColumn, way: Type) -> SparkColumn:
    """The names at the end of the way, from all elements and values that it passes."""
    match way:
        case Struct(fields=(ahead,)):
            return _keys_of(value.getField(ahead.name), ahead.type)
        case Array(element=inner):
            return F.flatten(F.transform(value, lambda v: F.coalesce(_keys_of(v, inner), _no_names())))
        case Map(value=inner) if inner != "string":
            return F.flatten(F.transform(F.map_values(value), lambda v: F.coalesce(_keys_of(v, inner), _no_names())))
        case _:
            return F.map_keys(value)


def _no_names() -> SparkColumn:
    return F.expr("array()").cast("array<string>")
