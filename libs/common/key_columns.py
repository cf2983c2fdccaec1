"""Columns that are filled from keys: a file below ``year=2025/`` has the year 2025 in each of its rows. Pure.

Only folders below the source's path count, not the file's own name. Their values are percent-encoded, as Hive and Spark
write them, and are texts until a column asks for another type; it takes them whole or not at all.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from math import isinf
from struct import pack
from typing import Final
from urllib.parse import unquote_to_bytes

from libs.common.schema import Field, Struct, Type, sql
from libs.common.schema_hints import Hint, hinted

NULL: Final = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark call the folder of rows without a value."""
INFERRED: Final = "string"
"""The type of such a column about which nobody has said anything: a number would lose the zero of ``month=01``."""

_WHOLE_BITS = {"int": 31, "bigint": 63}
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,50}\.?[0-9]{0,50}|\.[0-9]{1,50})([eE][+-]?[0-9]{1,3})?")
_DECIMAL_TYPE = re.compile(r"decimal\((\d+), ?(\d+)\)")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_TIME = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T]{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})?)?")
_TAKES = frozenset({"string", "int", "bigint", "float", "double", "boolean", "date", "timestamp", "timestamp_ntz"})


class KeyUnfit(ValueError):
    """A key does not say what a column could hold; the text says why."""


def takes_keys(column: Type) -> bool:
    """Whether a column of this type can be filled from keys."""
    return isinstance(column, str) and (column in _TAKES or _DECIMAL_TYPE.fullmatch(column) is not None)


def with_key_columns(found: Struct, names: Sequence[str], hints: Iterable[Hint] = ()) -> Struct:
    """``found`` and, last, the columns of these names that it lacks: texts, or what ``hints`` say of them."""
    there, wanted = {f.name.lower() for f in found.fields}, {name.lower() for name in names}
    more = Struct(tuple(Field(name, INFERRED) for name in names if name.lower() not in there))
    told = hinted(more, (h for h in hints if h.path[0].lower() in wanted - there))
    return Struct((*found.fields, *told.fields))


def values_of(key: str, prefix: str, columns: Iterable[Field]) -> dict[str, str | None]:
    """For each column what the key says, as a text that Spark casts to the column's type without loss. None: the key
    has no such folder, or it stands for no value.

    Raises:
        KeyUnfit: a value that the column cannot hold, or several of them; a required column without one.
    """
    told = _folders(key, prefix)
    return {column.name: _value(told.get(column.name.lower(), []), column) for column in columns}


def _folders(key: str, prefix: str) -> Mapping[str, list[str]]:
    """What stands behind the ``=`` of each folder, by the lower-case name before it."""
    found: dict[str, list[str]] = {}
    for folder in key.removeprefix(prefix).split("/")[:-1]:
        name, separator, value = folder.partition("=")
        if separator:
            found.setdefault(unquote_to_bytes(name).decode(errors="replace").lower(), []).append(value)
    return found


def _value(told: Sequence[str], column: Field) -> str | None:
    if len(told) > 1:
        raise KeyUnfit(f"its key has the folder {column.name}= {len(told)} times")
    if not told or told[0] in ("", NULL):
        if column.required:
            raise KeyUnfit(f"column {column.name!r} must have a value, and the key has none for it")
        return None
    try:
        return _as_told(unquote_to_bytes(told[0]).decode(), column.type)
    except (ValueError, OverflowError):
        raise KeyUnfit(f"the folder {column.name}={told[0]} is no {sql(column.type)}") from None


def _as_told(text: str, column: Type) -> str:
    """
    Raises:
        ValueError, OverflowError: a column of this type cannot hold it.
    """
    match column:
        case "string":
            return text
        case "int" | "bigint":
            number = int(_matching(_WHOLE, text))
            if not -(2 ** _WHOLE_BITS[column]) <= number < 2 ** _WHOLE_BITS[column]:
                raise OverflowError
            return str(number)
        case "float" | "double":
            value = float(_matching(_NUMBER, text))
            pack("<f" if column == "float" else "<d", value)  # raises where it is too large
            if isinf(value):
                raise OverflowError
            return repr(value)
        case "boolean":
            return _matching(re.compile("true|false"), text.lower())
        case "date":
            year, month, day = map(int, _matching(_DATE, text).split("-"))
            return date(year, month, day).isoformat()
        case "timestamp" | "timestamp_ntz":
            return _time(text, zoned=column == "timestamp")
        case _:
            return _decimal(text, column)


def _time(text: str, *, zoned: bool) -> str:
    """A time without a zone is one of UTC where the column has instants."""
    found = datetime.fromisoformat(_matching(_TIME, text))
    if not zoned:
        if found.tzinfo is not None:
            raise ValueError
        return found.isoformat()
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC).isoformat()


def _decimal(text: str, column: Type) -> str:
    digits = _DECIMAL_TYPE.fullmatch(column) if isinstance(column, str) else None
    if digits is None:
        raise ValueError
    number = Decimal(_matching(_NUMBER, text))
    scale, whole = int(digits[2]), int(digits[1]) - int(digits[2])
    # What the default context computes has 28 digits.
    smallest = number.normalize(Context(prec=200)).as_tuple().exponent
    if number.copy_abs() >= 10**whole or not isinstance(smallest, int) or smallest < -scale:
        raise OverflowError
    return format(number, "f")


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError
    return text
