"""Plain text: a row for each line, also for one that is empty, in the column ``value``."""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F

from libs.common.contracts.definition import FormatOptions
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct, literal, quoted, sql
from services.executor.adapters.reading.encoding import Encoding
from services.executor.adapters.reading.origin import LINE, PATH, Origin
from services.executor.adapters.reading.wholes import wholes
from services.executor.domain.provenance import data_of, is_rescuing

COLUMN: Final = "value"
_OUTSIDE: Final = f"to_json(struct(raw AS {COLUMN}))"


class PlainText:
    """See ``reader.Reader``."""

    def __init__(self, options: FormatOptions) -> None:
        self._encoding = Encoding.of(options.encoding)

    def infer(self, origin: Origin, files: Sequence[FileVersion]) -> Struct:  # noqa: ARG002 - the port's
        return Struct((Field(COLUMN, "string"),))

    def records(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        return self.numbered(origin, files, schema).drop("line")

    def numbered(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        lines = self._lines(origin, files)
        table = data_of(schema)
        faults = [(f"NOT {self._encoding.is_whole('raw')}", f"not {self._encoding.name}")]
        faults += [
            ("true", f"column {f.name!r} must have a value, and has none here")
            for f in table.fields
            if f.required and f.name != COLUMN
        ]
        values = ", ".join(
            f"{'raw' if f.name == COLUMN else 'NULL'}::{sql(f.type)} AS {quoted(f.name)}" for f in table.fields
        )
        known = "array()" if table.get(COLUMN) else f"array('{COLUMN}')"
        judged = lines.selectExpr(
            "*",
            f"struct({values}) AS row",
            "false AS blank",
            f"{' OR '.join(condition for condition, _ in faults)} AS bad",
            f"CAST({known} AS array<string>) AS unknown",
            "CAST(array() AS array<string>) AS misfits",
            f"{_OUTSIDE if is_rescuing(schema) and not table.get(COLUMN) else 'CAST(NULL AS string)'} AS outside",
            "CASE " + " ".join(f"WHEN {condition} THEN {literal(why)}" for condition, why in faults) + " END AS reason",
        )
        return origin.with_versions(judged, files)

    def known_empty(self, origin: Origin, files: Sequence[FileVersion]) -> frozenset[bytes]:
        return frozenset(f.digest for f in files if origin.compression_of(f) == "gzip")

    def check(self, origin: Origin, file: FileVersion) -> None:
        self._lines(origin, [file]).agg(F.count("raw")).collect()

    def _lines(self, origin: Origin, files: Sequence[FileVersion]) -> DataFrame:
        if self._encoding.is_wide:
            pieces = wholes(origin, files).selectExpr("path", f"{self._encoding.of_bytes('whole')} AS text")
            # The end of the last line is not the start of another one.
            cut = "split(regexp_replace(text, '(\\r\\n|\\r|\\n)\\\\z', ''), '\\r\\n|\\r|\\n')"
            lines = pieces.selectExpr("path", f"posexplode({cut}) AS (place, raw)")
            return lines.selectExpr("raw", "path", "CAST(place + 1 AS bigint) AS line")
        lines = origin.text(files)
        if self._encoding.name == "utf-8":
            return lines.selectExpr("value AS raw", f"{PATH} AS path", f"{LINE} AS line")
        text = self._encoding.text(self._encoding.of_bytes("CAST(value AS binary)"))
        return lines.selectExpr(f"{text} AS raw", f"{PATH} AS path", f"{LINE} AS line")
