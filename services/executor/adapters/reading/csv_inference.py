"""Which columns the texts of CSV cells show.

A column is of a narrower type than text only if every value of it is written as that type writes it: ``007`` keeps its
zeros, and a number with more digits than its type can hold keeps them all. Dates and times stay as they are written.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F

from libs.common.schema import Field, Struct, literal
from services.executor.adapters.reading.csv_values import Cells

Seen = Mapping[str, frozenset[str]]
"""In which ways the values of each column are written, in the columns' order."""

_WAYS: Final = {
    "boolean": "(?i:true|false)",
    "whole number": "0|-?[1-9][0-9]{0,14}",
    "large whole number": "-?[1-9][0-9]{15,17}",  # no double holds it
    "number": "(?!-?[0-9.]{20})-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?",
}
_TYPES: Final = (
    (frozenset({"boolean"}), "boolean"),
    (frozenset({"whole number", "large whole number"}), "bigint"),
    (frozenset({"whole number", "number"}), "double"),
)


def seen(parsed: DataFrame, cells: Cells) -> Seen:
    """Looks at records of one header, in ``cells``; those that are ``broken`` show nothing."""
    texts = ", ".join(cells.cell(i) for i in range(len(cells.names)))
    ways = " ".join(f"WHEN t RLIKE {literal(_whole(pattern))} THEN {literal(way)}" for way, pattern in _WAYS.items())
    way = f"transform(array({texts}), t -> CASE WHEN trim(t) = '' THEN NULL {ways} WHEN t IS NOT NULL THEN 'text' END)"
    each = parsed.where("broken IS NULL").selectExpr(f"posexplode({way}) AS (place, way)")
    found = each.groupBy("place").agg(F.collect_set("way").alias("ways")).collect()
    by_place = {row["place"]: frozenset(row["ways"]) for row in found}
    return {name: by_place.get(i, frozenset()) for i, name in enumerate(cells.names)}


def _whole(pattern: str) -> str:
    return rf"^(?:{pattern})\z"


def columns(looks: Iterable[Seen]) -> Struct:
    """The columns of files of several headers, in the order in which they came."""
    ways: dict[str, frozenset[str]] = {}
    for look in looks:
        for name, found in look.items():
            ways[name] = ways.get(name, frozenset()) | found
    return Struct(tuple(Field(name, _type(found)) for name, found in ways.items()))


def _type(ways: frozenset[str]) -> str:
    """A column without a value is text."""
    return next((type_ for of, type_ in _TYPES if ways and ways <= of), "string")
