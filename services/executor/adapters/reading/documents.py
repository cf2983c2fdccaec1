"""JSON documents: a file holds an object, an array of objects, or several of these, each begun on a line of its own.

The file is read as one piece and cut into the texts of its objects; from there on, each is what a line is in a file of
JSON lines. A file that is no whole JSON is one bad record.
"""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct, literal
from services.executor.adapters.reading import json_lines, json_schema
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.reading.wholes import wholes

_END = "autoloader:end-of-file"
# Nowhere else in JSON does an object or an array follow another one without a comma; and no text in it holds a line's
# end. So where two documents share a line, the file stays as it is, and is no JSON.
_BETWEEN = r"([}\]])([ \t\r]*\n\s*)(?=[{\[])"
# As elements of one array, of which the last is ours: the parser stops at the end of the first value that it finds.
_TOGETHER = f"regexp_replace(text, {literal(_BETWEEN)}, '$1,$2')"
_ELEMENTS = f"""from_json(concat('[', {_TOGETHER}, ',"{_END}"]'), 'array<string>')"""
# Of an array its elements; of the parser's nulls, the JSON that they were.
_OBJECTS = (
    "flatten(transform(documents, d -> "
    "IF(startswith(d, '['), from_json(d, 'array<string>'), array(coalesce(d, 'null')))))"
)
_TINY_BYTES: Final = 128
"""Whatever an archive of this size holds would have been read."""


class JsonDocuments:
    """See ``reader.Reader``."""

    def infer(self, origin: Origin, files: Sequence[FileVersion]) -> Struct:
        return json_schema.inferred(origin.spark, _objects(origin, files).where("raw <> ''").select("raw"))

    def records(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        return json_lines.parse(origin.with_versions(_objects(origin, files), files), schema)

    def numbered(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        objects = origin.with_versions(_objects(origin, files), files)
        return json_lines.explained(json_lines.parse(objects, schema, mostly_plain=False), schema)

    def known_empty(self, origin: Origin, files: Sequence[FileVersion]) -> frozenset[bytes]:
        return frozenset(f.digest for f in files if origin.compression_of(f) == "gzip" and f.size_bytes <= _TINY_BYTES)

    def check(self, origin: Origin, file: FileVersion) -> None:
        wholes(origin, [file]).agg(F.sum(F.length("whole"))).collect()


def _objects(origin: Origin, files: Sequence[FileVersion]) -> DataFrame:
    """``raw``, the text of each object, with its ``path`` and its place in the file, ``line``. A file without any has a
    blank one."""
    pieces = wholes(origin, files).selectExpr("path", "CAST(whole AS string) AS text")
    cut = pieces.withColumn("elements", F.expr(f"IF(is_valid_utf8(text), {_ELEMENTS}, NULL)"))
    is_whole = f"element_at(elements, -1) = '{_END}'"
    documents = cut.withColumn("documents", F.expr(f"IF({is_whole}, slice(elements, 1, size(elements) - 1), NULL)"))
    objects = (
        "CASE WHEN trim(BOTH ' \\t\\r\\n' FROM text) = '' THEN array('') "
        f"WHEN documents IS NULL THEN array(text) WHEN size({_OBJECTS}) = 0 THEN array('') ELSE {_OBJECTS} END"
    )
    each = documents.selectExpr("path", f"posexplode({objects}) AS (place, object)")
    return each.selectExpr("path", "coalesce(object, 'null') AS raw", "CAST(place + 1 AS bigint) AS line")
