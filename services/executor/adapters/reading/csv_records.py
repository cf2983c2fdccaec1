"""The records of CSV files of one header, before anything is known of their columns."""

from collections.abc import Sequence

from pyspark.sql import DataFrame

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import literal
from services.executor.adapters.reading.csv_syntax import Syntax
from services.executor.adapters.reading.origin import LINE, PATH, Origin
from services.executor.adapters.reading.wholes import wholes

# Characters that Latin has not, so no line holds them: Spark's reader of CSV is to cut nothing but lines.
_NEVER = {"sep": "\ufffe", "quote": "\uffff", "escape": "\uffff"}


def records(origin: Origin, files: Sequence[FileVersion], syntax: Syntax) -> DataFrame:
    """``raw``, the text of each record below the header, and its ``path``."""
    if syntax.needs_wholes:
        return _cut(origin, files, syntax).drop("line")
    # The one reader that leaves out the first line of each file, wherever Spark cuts it.
    reader = origin.reading(files).schema("line string, more string")
    reader = reader.options(
        **_NEVER,
        header=str(syntax.has_header).lower(),
        enforceSchema="true",
        encoding="ISO-8859-1",
        mode="PERMISSIVE",
        columnNameOfCorruptRecord="more",
        maxCharsPerColumn="-1",
    )
    lines = reader.csv(origin.paths(files))
    return lines.selectExpr(f"{syntax.encoding.text('coalesce(more, line)')} AS raw", f"{PATH} AS path")


def numbered(origin: Origin, files: Sequence[FileVersion], syntax: Syntax, header_lines: int) -> DataFrame:
    """As ``records``, with their ``line``; of files that are cut as pieces, the number of the record."""
    if syntax.needs_wholes:
        return _cut(origin, files, syntax)
    lines = origin.text(files)
    latin = syntax.encoding.of_bytes("CAST(value AS binary)")
    found = lines.selectExpr(f"{syntax.encoding.text(latin)} AS raw", f"{PATH} AS path", f"{LINE} AS line")
    return found.where(f"line IS NULL OR line > {header_lines}")


def _cut(origin: Origin, files: Sequence[FileVersion], syntax: Syntax) -> DataFrame:
    piece = syntax.encoding.of_bytes("whole")
    cut = f"regexp_extract_all({piece}, {literal(syntax.record)}, 0)"
    # The end of the last line is the start of a record of nothing, and blank ones are none in any file.
    found = f"filter({cut}, r -> trim(BOTH ' \\t\\r\\n' FROM r) <> '')"
    pieces = wholes(origin, files).selectExpr("path", f"posexplode({found}) AS (place, latin)")
    if syntax.has_header:
        pieces = pieces.where("place > 0")
    text = syntax.encoding.text("trim(TRAILING '\\r\\n' FROM latin)")
    return pieces.selectExpr(f"{text} AS raw", "path", "CAST(place + 1 AS bigint) AS line")
