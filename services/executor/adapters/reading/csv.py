"""CSV: files of one header are one read, by the places of their columns; so any order of columns is as good as another.

A file's header is in its description before the pass begins. Values are texts until the table's columns are known: what
does not fit its column makes the record bad.
"""

from collections.abc import Iterable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F

from libs.common.contracts.definition import FormatOptions
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct, literal, quoted
from services.executor.adapters.reading import csv_inference, csv_records
from services.executor.adapters.reading.csv_syntax import Syntax
from services.executor.adapters.reading.csv_values import Cells
from services.executor.adapters.reading.origin import Origin, union
from services.executor.domain.provenance import data_of, is_rescuing

_MORE = "more"


class CsvFiles:
    """See ``reader.Reader``. The origin has the description of every file."""

    def __init__(self, options: FormatOptions) -> None:
        self._syntax = Syntax.of(options)

    def infer(self, origin: Origin, files: Sequence[FileVersion]) -> Struct:
        looks = (
            csv_inference.seen(
                self._parsed(csv_records.records(origin, group, self._syntax), names),
                Cells(names, self._syntax.null_value),
            )
            for (names, _), group in _alike(origin, files)
            if names
        )
        return csv_inference.columns(looks)

    def records(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        groups = (
            self._judged(csv_records.records(origin, group, self._syntax), names, schema)
            for (names, _), group in _alike(origin, files)
        )
        return origin.with_versions(union(groups), files)

    def numbered(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        groups = (
            self._judged(csv_records.numbered(origin, group, self._syntax, lines), names, schema)
            for (names, lines), group in _alike(origin, files)
        )
        return origin.with_versions(union(groups), files)

    def known_empty(self, origin: Origin, files: Sequence[FileVersion]) -> frozenset[bytes]:
        return frozenset(f.digest for f in files if origin.described[f.digest].rows == 0)

    def check(self, origin: Origin, file: FileVersion) -> None:
        csv_records.records(origin, [file], self._syntax).agg(F.count("raw")).collect()

    def _parsed(self, records: DataFrame, names: Sequence[str]) -> DataFrame:
        """With ``cells``, and what is wrong with a record whatever its values: ``broken``, null if nothing is."""
        cells = ", ".join([*(f"c{i} string" for i in range(len(names))), f"{_MORE} string"])
        options = {**self._syntax.options, "columnNameOfCorruptRecord": _MORE}
        parsed = _once(records, "cells", F.from_csv("raw", F.lit(cells), options))
        syntax = self._syntax
        return parsed.withColumn(
            "broken",
            F.expr(
                f"CASE WHEN NOT {syntax.encoding.is_whole('raw')} THEN {literal(f'not {syntax.encoding.name}')} "
                "WHEN contains(raw, char(0)) THEN 'it holds a NUL' "
                f"WHEN {syntax.is_open('raw', f'cells.c{len(names) - 1}')} THEN 'a quote is opened and not closed' "
                f"WHEN cells.{_MORE} IS NOT NULL THEN 'it has not the {len(names)} cells of the header' END"
            ),
        )

    def _judged(self, records: DataFrame, names: Sequence[str], schema: Struct) -> DataFrame:
        """In the columns of ``reader``; with ``reason`` where records have their ``line``."""
        table, rescues = data_of(schema), is_rescuing(schema)
        cells = Cells(names or ("_c0",), self._syntax.null_value)
        parsed = _once(self._parsed(records, cells.names), "row", F.expr(cells.row(table)))
        misfits = list(cells.misfits(table))
        lost = _array(f"IF({is_lost}, {literal(name)}, NULL)" for name, is_lost, _ in misfits)
        faults = [("broken IS NOT NULL", "broken")]
        if not rescues:
            faults.append(
                (
                    "size(misfits) > 0",
                    f"array_compact({_array(f'IF({is_lost}, {why}, NULL)' for _, is_lost, why in misfits)})[0]",
                )
            )
        faults += [
            (f"row.{quoted(f.name)} IS NULL", literal(f"column {f.name!r} must have a value, and has none here"))
            for f in table.fields
            if f.required
        ]
        if not table.fields:
            faults.append(("true", "'the table has no column'"))
        unknown = _array(map(literal, cells.unknown(table) if names else ()))
        judged = (
            parsed.withColumn("blank", F.expr("trim(BOTH ' \\t\\r' FROM raw) = ''"))
            .withColumn("unknown", F.expr(f"CAST({unknown} AS array<string>)"))
            .withColumn("misfits", F.expr(f"CAST(array_compact({lost}) AS array<string>)"))
            .withColumn("bad", F.expr(f"NOT blank AND ({' OR '.join(condition for condition, _ in faults)})"))
            .withColumn("outside", F.expr(cells.outside(table) if rescues else "CAST(NULL AS string)"))
        )
        if "line" in records.columns:
            reasons = " ".join(f"WHEN {condition} THEN {why}" for condition, why in faults)
            judged = judged.withColumn("reason", F.expr(f"CASE WHEN NOT bad THEN NULL {reasons} END"))
        return judged.drop("cells", "broken")


def _once(rows: DataFrame, name: str, value: Column) -> DataFrame:
    """The rows with one column more, computed once for each. A column of which many others make use would be put into
    each of them, a filter on them even in front of the rest: with a thousand cells, no plan is ever done."""
    return rows.select("*", F.explode(F.array(value)).alias(name))


def _array(elements: Iterable[str]) -> str:
    return f"array({', '.join(elements)})"


_Header = tuple[tuple[str, ...], int]
"""The columns' names, and the lines before the first record."""


def _alike(origin: Origin, files: Iterable[FileVersion]) -> Sequence[tuple[_Header, list[FileVersion]]]:
    """The files, by their header."""
    found: dict[_Header, list[FileVersion]] = {}
    for f in files:
        told = origin.described[f.digest]
        found.setdefault((tuple(field.name for field in told.schema.fields), told.header_lines), []).append(f)
    return list(found.items())
