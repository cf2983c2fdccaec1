"""How a table is partitioned, written as in Iceberg's SQL: ``day``, ``days(ts)``, ``bucket(16, id)``, …

Text in, values out. Whether a table has such columns, of types that can be partitioned so, is for
``libs/common/partitioned.py`` to say.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from libs.common.schema import quoted

TimeUnit = Literal["years", "months", "days", "hours"]
Function = Literal["identity", "years", "months", "days", "hours", "bucket", "truncate"]

TIME_UNITS: Final[tuple[TimeUnit, ...]] = get_args(TimeUnit)
"""From the coarsest to the finest."""
WIDTH_MAX: Final = 2**31 - 1
SHAPES: Final = "a column, or years(c), months(c), days(c), hours(c), bucket(16, c), truncate(4, c)"

# Iceberg's own names for the parts: the column's, and what was made of it.
_SUFFIXES: Final = {
    "identity": "",
    "years": "_year",
    "months": "_month",
    "days": "_day",
    "hours": "_hour",
    "bucket": "_bucket",
    "truncate": "_trunc",
}
_ALMOST: Final = {unit.removesuffix("s"): unit for unit in TIME_UNITS} | {"date": "days", "date_hour": "hours"}
_PLAIN_NAME = re.compile(r"\w+")
_PART = r"(?:\w+|`(?:[^`]|``)+`)"
_COLUMN = re.compile(rf"{_PART}(?:\.{_PART})*")
_PARTS = re.compile(_PART)
_CALL = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)
_WIDTH = re.compile(r"\s*([0-9]+)\s*,(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Transform:
    """One part of a table's partitioning. ``column`` is a path from the table's root; ``width`` is the number of
    buckets, or of what is left of a value."""

    function: Function
    column: tuple[str, ...]
    width: int | None = None

    def __str__(self) -> str:
        """As a user writes it; ``parse`` reads it back."""
        return self._written(self.column_name)

    @property
    def sql(self) -> str:
        """As a statement takes it, whatever the names are."""
        return self._written(".".join(map(quoted, self.column)))

    @property
    def column_name(self) -> str:
        """With backquotes where they are needed."""
        return ".".join(part if _PLAIN_NAME.fullmatch(part) else quoted(part) for part in self.column)

    @property
    def name(self) -> str:
        """What Iceberg calls the partition's field."""
        return ".".join(self.column) + _SUFFIXES[self.function]

    @property
    def is_of_time(self) -> bool:
        return self.function in TIME_UNITS

    def _written(self, column: str) -> str:
        if self.function == "identity":
            return column
        return f"{self.function}({column})" if self.width is None else f"{self.function}({self.width}, {column})"


def parse(entry: str) -> Transform:
    """
    Raises:
        ValueError: it is none of ``SHAPES``; says what to write.
    """
    text = entry.strip()
    if _COLUMN.fullmatch(text):
        return Transform("identity", _column(entry, text))
    call = _CALL.fullmatch(text)
    if call is None:
        raise ValueError(f"{entry!r} cannot be read; write {SHAPES}, with odd names in backquotes")
    function, inside = call[1].lower(), call[2]
    if function in TIME_UNITS:
        return Transform(cast("Function", function), _column(entry, inside))
    if function in ("bucket", "truncate"):
        return _with_width(entry, cast("Function", function), inside)
    if (meant := _ALMOST.get(function)) is not None:
        raise ValueError(f"{entry!r}: there is no {function}(); write {meant}({inside.strip()})")
    raise ValueError(f"{entry!r}: there is no {function}(); write {SHAPES}")


def parse_all(entries: Sequence[str]) -> tuple[Transform, ...]:
    """What a table can be partitioned by together.

    Raises:
        ValueError: as ``parse``; or two of them say the same.
    """
    parts = tuple(map(parse, entries))
    for n, part in enumerate(parts):
        for other in parts[:n]:
            _refuse_two(other, part)
    return parts


def _with_width(entry: str, function: Function, inside: str) -> Transform:
    found = _WIDTH.fullmatch(inside)
    if found is None:
        raise ValueError(f"{entry!r}: the number comes first, then the column; write {function}(16, c)")
    column = _column(entry, found[2])
    if not 1 <= int(found[1][:12]) <= WIDTH_MAX:
        raise ValueError(f"{entry!r}: the number must be 1 or more, and at most {WIDTH_MAX:,}")
    return Transform(function, column, int(found[1]))


def _column(entry: str, text: str) -> tuple[str, ...]:
    text = text.strip()
    if not _COLUMN.fullmatch(text):
        raise ValueError(
            f"{entry!r}: {text!r} is not the name of one column; write odd names in backquotes, and inner fields as a.b"
        )
    parts: list[str] = _PARTS.findall(text)
    return tuple(part[1:-1].replace("``", "`") if part.startswith("`") else part for part in parts)


def _refuse_two(one: Transform, other: Transform) -> None:
    same_column = [c.lower() for c in one.column] == [c.lower() for c in other.column]
    if same_column and one.is_of_time and other.is_of_time and one.function != other.function:
        finer = max(one, other, key=lambda t: TIME_UNITS.index(cast("TimeUnit", t.function)))
        raise ValueError(f"{one} and {other} both go by the time of {one.column_name}; keep {finer}, the finer one")
    if one.name.lower() == other.name.lower():
        raise ValueError(f"{one} and {other} would both be the partition {other.name!r}; keep one of them")
