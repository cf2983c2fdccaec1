"""The one pass over a batch's files: rows for the table, and in passing everything that the audit wants to know.

Lines are read as text and parsed with the known schema (``from_json``). Observed on the very frame that is
written: lines, rows and bad lines per file, fields that the schema lacks with the files that carry them, and
lines of no known file. Nothing is read twice.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import StringType, StructType

from libs.common.ledger.model import FileVersion
from libs.common.schema import Array, Field, Map, Struct, Type, quoted, structs_in, to_json
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import data_of, is_ours

_CORRUPT = "_autoloader_corrupt"
_GLOB = re.compile(r"([{}\[\]*?\\])")
# Spark's parser stops at the end of the first value: of {"a":1}{"a":2} on one line it would drop the second object
# without a word. So each line is also read as the first of exactly two elements of an array, ours being the second.
_END = "autoloader:end-of-line"
# An object ends with a brace: where a line's first brace is its last character, nothing can follow, and no second look
# is needed.
_IS_ONE_VALUE = (
    "(instr(value, '}') = length(trim(TRAILING ' \\t\\r' FROM value)) "
    f"OR get_json_object(concat('[', value, ',\"{_END}\"]'), '$[1]') <=> '{_END}')"
)
# A key's path comes back URI-encoded; url_decode would turn a literal + into a space.
_PATH = "url_decode(replace(_metadata.file_path, '+', '%2B'))"


def s3a_path(file: FileVersion, scheme: str = "s3a") -> str:
    """The object's path as Spark prints it, decoded."""
    return f"{scheme}://{file.bucket}/{file.key}"


def exact_path(file: FileVersion, scheme: str = "s3a") -> str:
    """The path to hand to a reader, so that ``*?[]{}`` in a key mean themselves."""
    return _GLOB.sub(r"\\\1", s3a_path(file, scheme))


def read_lines(spark: SparkSession, files: Sequence[FileVersion], scheme: str) -> DataFrame:
    """Every line of the files: ``value``, and of its file the ``path``, the ``version``, and the position in ``files``,
    ``file`` (null: a stranger)."""
    lines = (
        spark.read.option("recursiveFileLookup", "true")  # k=v/ in a key is a name, not a column
        .text([exact_path(f, scheme) for f in files])
        .select("value", F.expr(_PATH).alias("path"))
    )
    named = [{"path": s3a_path(f, scheme), "version": f.version_tag} for f in files]
    known = F.from_json(F.lit(json.dumps(named)), "array<struct<path: string, version: string>>")
    index = spark.range(1).select(F.posexplode(known).alias("file", "of")).select("file", "of.path", "of.version")
    return lines.join(F.broadcast(index), "path", "left")


def parse(lines: DataFrame, schema: Struct) -> DataFrame:
    """Adds ``row`` (the parsed struct), ``blank``, ``bad``, and ``unknown`` (names the schema lacks, dotted)."""
    schema = data_of(schema)
    known = StructType.fromJson(to_json(schema)).add(_CORRUPT, StringType())
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT}
    return (
        lines.withColumn("row", F.from_json("value", known, options))
        .withColumn("blank", F.expr("trim(BOTH ' \\t\\r' FROM value) = ''"))
        .withColumn("keys", F.expr("json_object_keys(value)"))
        .withColumn("bad", F.expr(f"NOT blank AND ({_faults(schema)})"))
        .withColumn("unknown", _unknown(schema))
    )


def _faults(schema: Struct) -> str:
    """What makes a line bad, as SQL. Never null."""
    faults = [
        "keys IS NULL",
        f"row.{_CORRUPT} IS NOT NULL",
        f"NOT {_IS_ONE_VALUE}",
        # The parser would put a replacement character for each stray byte, and the value would be lost.
        "NOT is_valid_utf8(value)",
        *(f"row.{quoted(f.name)} IS NULL" for f in schema.fields if f.required),
    ]
    if not schema.fields:
        faults.append("true")  # a table without a column can hold no row, not even an empty one
    return " OR ".join(faults)


def observe(parsed: DataFrame, watch: Observation, files: int) -> DataFrame:
    """The same frame, watched while it is written. ``histogram_numeric`` with a bin per file is an exact count."""
    bins = F.lit(max(files, 2))
    return parsed.observe(
        cast("Any", watch),  # the connect frame takes the connect observation; the shared signature names the other
        F.histogram_numeric(F.col("file"), bins).alias("lines"),
        F.histogram_numeric(F.expr("CASE WHEN NOT blank AND NOT bad THEN file END"), bins).alias("rows"),
        F.histogram_numeric(F.expr("CASE WHEN bad THEN file END"), bins).alias("bad"),
        F.count_if(F.col("file").isNull()).alias("stray"),
        F.collect_set(F.when(F.size("unknown") > 0, F.struct("file", F.array_sort("unknown").alias("names")))).alias(
            "unknown"
        ),
    )


def rows_of(parsed: DataFrame, schema: Struct, run_id: str) -> DataFrame:
    """The good rows, in the table's columns: the data's, and those of ours that the table has."""
    ours = {
        "_file_path": F.expr("concat('s3', substring(path, instr(path, '://')))"),
        "_file_version": F.col("version"),
        "_loaded_at": F.current_timestamp(),
        "_run_id": F.lit(run_id),
    }
    return parsed.where("NOT blank AND NOT bad").select(
        *((ours[f.name] if is_ours(f) else F.col("row").getField(f.name)).alias(f.name) for f in schema.fields)
    )


def replacing(spark: SparkSession, new: DataFrame, uris: Sequence[str], marker: str) -> DataFrame:
    """The new rows, and one row more for each file whose rows they replace: its URI in the column ``marker``, which is
    null in all others."""
    gone = F.explode(F.from_json(F.lit(json.dumps(list(uris))), "array<string>"))
    return new.withColumn(marker, F.lit(None).cast("string")).unionByName(
        spark.range(1).select(gone.alias(marker)), allowMissingColumns=True
    )


def reads(observed: Mapping[str, Any], files: Sequence[FileVersion]) -> dict[bytes, FileRead]:
    """Per file digest, what the pass saw of it. Files without a line are absent."""
    lines, rows, bad = (_by_file(observed[name]) for name in ("lines", "rows", "bad"))
    return {
        files[position].digest: FileRead(count, rows.get(position, 0), bad.get(position, 0))
        for position, count in lines.items()
    }


def unknown_fields(observed: Mapping[str, Any], files: Sequence[FileVersion]) -> dict[bytes, frozenset[str]]:
    """Per file digest, the fields that the schema lacks."""
    found: dict[bytes, frozenset[str]] = {}
    for entry in observed["unknown"] or ():
        if entry["file"] is None:
            continue  # a line of no known file; the audit sees it among the strays
        digest = files[int(entry["file"])].digest
        found[digest] = found.get(digest, frozenset()) | frozenset(entry["names"])
    return found


def _by_file(histogram: Any) -> dict[int, int]:
    """Counts by file position. A file that was read in several partitions may have a bin from each."""
    counts: Counter[int] = Counter()
    for b in histogram or ():
        counts[round(b["x"])] += round(b["y"])
    return counts


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
        return F.json_object_keys(F.get_json_object(F.col("value"), here))
    # Read once more, with a type that has only what lies on the way and takes the object at its end as a map.
    way = _way(schema, path)
    assert isinstance(way, Struct)
    return _keys_of(F.from_json("value", StructType.fromJson(to_json(way))), way)


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
