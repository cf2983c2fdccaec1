"""A fast way through files of JSON, one object per line, of which every line is *plain* (see ``json_plain``).

Nearly all files are so. Such a file need not be cut into lines to be parsed: long pieces of it become one array each,
``[{...}, {...}]``, and the parser, which costs more to set up than to run, is set up once for thousands of records.
What it gives is proved by sums, when all of it is written and none of it can be seen yet:

- Each piece is one object after the other: it begins with a brace and ends with one, each of its line ends stands
  between two of them, the array ends where the piece ends, and it has as many objects as lines. So each line holds one
  object and nothing else.
- The pieces of a file have as many bytes as the file.
- The colons in the text are as many as those that are explained by what was parsed. No record explains more than it
  has, so if the sums agree, each line is plain.

What is not proved does not count: the batch is read again, line by line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import and_
from typing import Any, Final

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation
from pyspark.sql.types import ArrayType, BooleanType, StructType

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct, to_json
from services.executor.adapters.observing import watched
from services.executor.adapters.reading.json_plain import FIELDS_MAX, combined, explained, json_alone
from services.executor.adapters.reading.origin import PATH, Origin
from services.executor.domain.audit import FileRead

FILE_BYTES_MAX: Final = 32 * 1024**2
"""A larger file is read line by line: of this one, all bytes are in memory at once, a few times over."""
PIECE_BYTES: Final = 2 * 1024**2
"""What is parsed at once. The records of a piece are in memory together, at ten times the size of their text."""
_LINE_BYTES = 64 * 1024
"""A piece ends with the first line end that stands within so many bytes from where it may."""


# A tab in place of the line end: between objects it means nothing, and inside of a text it is refused as that would be.
_BETWEEN, _JOINED = "}\n{", "},\t{"
# The parser never sees what follows the end of an array. So the last element is ours: if it is there, that was the end.
_END: Final = "autoloader:end"
_ARRAY_END = f',\t{{"{_END}": true}}]'
_SCALARS = frozenset(
    {
        "tinyint", "smallint", "int", "bigint", "float", "double", "decimal",
        "boolean", "string", "binary", "date", "timestamp", "timestamp_ntz",
    }
)  # fmt: skip
_IN_DOUBT = -1
"""What a record explains that must be looked at in the other way: less than it has."""


@dataclass(frozen=True, slots=True)
class PlainFiles:
    """The records of these files, in ``reader``'s columns, as far as they are rows; what is known of them when they
    have been written, once and to their end."""

    files: Sequence[FileVersion]
    records: DataFrame
    _pieces: Observation
    _rows: Observation

    def proved(self, written: int) -> dict[bytes, FileRead] | None:
        """What was read of each file that holds anything, by digest, if that many rows were written; None: it is not
        proved that all lines are plain."""
        # Spark does not always send what it counted.
        pieces, rows = self._pieces.get, self._rows.get
        return proof(self.files, pieces.get("pieces") or (), rows.get("explained") or 0, written)


def plain_files(origin: Origin, files: Sequence[FileVersion], schema: Struct) -> PlainFiles | None:
    """These files, read as if each of their lines were plain. None: there is no such way. ``schema`` is the data's."""
    if not _is_flat(schema) or not all(_is_small(origin, f) for f in files):
        return None
    of_pieces, of_rows = Observation(), Observation()
    pieces = origin.with_versions(_pieces(origin, files), files)
    judged = (
        pieces.withColumn("joined", F.replace("body", F.lit(_BETWEEN), F.lit(_JOINED)))
        .withColumn("lines", F.octet_length("joined") - F.octet_length("body") + 1)
        .withColumn("rows", F.when(_is_sound(), F.from_json(_array(), _array_of(schema))))
    )
    last = F.try_element_at("rows", F.lit(-1))
    told = F.struct(
        "file",
        "bytes",
        F.col("lines").cast("long").alias("lines"),
        F.coalesce((F.size("rows") == F.col("lines") + 1) & last.getField(_END), F.lit(False)).alias("held"),
        (F.octet_length("body") - F.octet_length(F.replace("body", F.lit(":"), F.lit("")))).alias("colons"),
    )
    watched_pieces = watched(judged, of_pieces, F.collect_list(told).alias("pieces"))
    records = watched_pieces.select("uri", "version", "folders", F.explode("rows").alias("row"))
    row = F.col("row")
    records = records.where(row.getField(_END).isNull())
    has_required = combined(
        and_, [row.isNotNull(), *(row.getField(f.name).isNotNull() for f in schema.fields if f.required)]
    )
    sound = combined(and_, [has_required, *json_alone(row, schema.fields)])
    shown = F.when(sound, explained(row, schema.fields)).otherwise(_IN_DOUBT)
    explaining = records.withColumn("explained", shown)
    watched_rows = watched(explaining, of_rows, F.sum("explained").alias("explained"))
    # The table would refuse the row, and with it the batch.
    rows = watched_rows.where(has_required).select(
        "uri",
        "version",
        "folders",
        "row",
        F.lit(False).alias("blank"),
        F.lit(False).alias("bad"),
        F.lit(None).cast("string").alias("outside"),
    )
    return PlainFiles(files, rows, of_pieces, of_rows)


def proof(
    files: Sequence[FileVersion], pieces: Sequence[Mapping[str, Any]], explained_colons: int, written: int
) -> dict[bytes, FileRead] | None:
    """See ``PlainFiles.proved``. A piece tells its ``file`` (its position; None: a stranger), its ``bytes``, its
    ``lines``, whether it is ``held`` by as many records, and its ``colons``."""
    if not all(piece["held"] and piece["file"] is not None for piece in pieces):
        return None
    if sum(piece["colons"] for piece in pieces) != explained_colons or sum(p["lines"] for p in pieces) != written:
        return None
    lines, seen_bytes = dict.fromkeys(range(len(files)), 0), dict.fromkeys(range(len(files)), 0)
    for piece in pieces:
        lines[piece["file"]] += piece["lines"]
        seen_bytes[piece["file"]] += piece["bytes"]
    if any(seen_bytes[position] != f.size_bytes for position, f in enumerate(files)):
        return None
    return {f.digest: FileRead(lines[n], lines[n]) for n, f in enumerate(files) if f.size_bytes}


def _is_flat(schema: Struct) -> bool:
    return 0 < len(schema.fields) <= FIELDS_MAX and all(
        isinstance(f.type, str) and f.type.partition("(")[0] in _SCALARS and f.name != _END for f in schema.fields
    )


def _is_small(origin: Origin, file: FileVersion) -> bool:
    return file.size_bytes <= FILE_BYTES_MAX and origin.compression_of(file) == "none"


def _pieces(origin: Origin, files: Sequence[FileVersion]) -> DataFrame:
    """The files' ``path``, and their text in pieces that end where a line ends: ``bytes`` of them, and the ``body``
    without the last line end."""
    texts = origin.text(files, whole=True)
    pieces = texts.select(F.expr(PATH).alias("path"), F.expr(f"explode({_cut()})").alias("piece"))
    body = "substring(piece, 1, octet_length(piece) - CAST(endswith(piece, X'0A') AS int))"
    return pieces.where("octet_length(piece) > 0").selectExpr(
        "path", "octet_length(piece) AS bytes", f"CAST({body} AS string) AS body"
    )


def _cut() -> str:
    """The pieces of ``value``, as SQL. Made bytes once, it is cut by their numbers: characters would be counted from
    its start each time. Where no line ends in reach, nothing is taken, and bytes are missing."""
    start = f"CASE WHEN n = 0 THEN 0 ELSE {_line_end('n')} END"
    piece = f"substring(whole, {start} + 1, {_line_end('(n + 1)')} - {start})"
    pieces = f"transform(sequence(0, octet_length(whole) div {PIECE_BYTES}), n -> {piece})"
    return f"flatten(transform(array(CAST(value AS binary)), whole -> {pieces}))"


def _line_end(n: str) -> str:
    """How many bytes of ``whole`` there are up to the first line end after ``n`` times ``PIECE_BYTES``."""
    window = f"CAST(substring(whole, {n} * {PIECE_BYTES} + 1, {_LINE_BYTES}) AS string)"
    return (
        f"CASE WHEN contains({window}, '\n') "
        f"THEN {n} * {PIECE_BYTES} + octet_length(substring_index({window}, '\n', 1)) + 1 "
        f"WHEN octet_length({window}) < {_LINE_BYTES} THEN octet_length(whole) END"
    )


def _is_sound() -> SparkColumn:
    body = F.col("body")
    evidence = [
        body.startswith("{"),
        body.endswith("}"),
        ~F.col("joined").contains("\n"),
        ~body.contains("\r"),
        # A colon may be written as an escape.
        ~body.contains("\\u"),
        F.call_function("is_valid_utf8", body),
    ]
    return combined(and_, evidence)


def _array() -> SparkColumn:
    return F.concat(F.lit("["), F.col("joined"), F.lit(_ARRAY_END))


def _array_of(schema: Struct) -> ArrayType:
    return ArrayType(StructType.fromJson(to_json(schema)).add(_END, BooleanType()))
