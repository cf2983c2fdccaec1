"""Types of files that bring their own (Parquet, Avro, ORC): the column that each becomes, and what a column takes.

A file's schema is a ``Struct`` like a table's, with a few names more for what tables of Spark do not have. A column
takes a type if it can hold its values without loss; where that depends on the value, each record is looked at.
"""

import re
from collections import Counter

from libs.common.schema import Array, Field, Map, Struct, Type

# What is read as something else; docs/reference/formats.md lists the lot.
_STORED_AS = {
    "tinyint": "int",
    "smallint": "int",
    "timestamp_ns": "timestamp",
    "timestamp_ntz_ns": "timestamp_ntz",
    "timestamp_ntz_text": "timestamp_ntz",
    "time_ms": "string",
    "time_us": "string",
    "time_ns": "string",
    "uuid": "string",
}
_SCALARS = frozenset(
    {"boolean", "int", "bigint", "float", "double", "string", "binary", "date", "timestamp", "timestamp_ntz"}
)
_TAKES = {
    "bigint": frozenset({"int"}),
    "double": frozenset({"int", "float", "bigint"}),  # of the whole numbers, those that it can hold
    "string": _SCALARS - {"binary"},
}
_SPARKS_OWN = "_metadata"
_DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")
_DECIMAL_DIGITS_MAX = 38
_WEIGHT_MAX = 90
"""Of the 100 messages that protobuf takes; the others are those around a column."""
_DIGITS = {"int": 10, "bigint": 19}
"""Of the longest whole number."""


class Unstorable(ValueError):
    """A type that no column can have."""


def stored(found: Type) -> Type:
    """The type of the column that is made for a field of this type.

    Raises:
        Unstorable: there is none.
    """
    match found:
        case Struct(fields=fields):
            return Struct(tuple(Field(f.name, stored(f.type)) for f in fields))
        case Array(element=inner):
            return Array(stored(inner))
        case Map(key=key, value=inner):
            return Map(stored(key), stored(inner))
        case str():
            as_column = _STORED_AS.get(found, found)
            digits = _decimal(as_column)
            if as_column in _SCALARS or (digits is not None and digits[0] <= _DECIMAL_DIGITS_MAX):
                return as_column
            raise Unstorable(found)


def unstorable(file: Struct) -> str | None:
    """Why no table can have columns like this file's, as a sentence; None if one can."""
    twice = [name for name, times in Counter(f.name for f in file.fields).items() if times > 1]
    if twice:
        return f"two of its columns are named {twice[0]!r}"
    for f in file.fields:
        if f.name == _SPARKS_OWN:
            return f"its column {f.name!r} has a name that Spark keeps for itself"
        if _weight(f.type) > _WEIGHT_MAX:
            return f"its column {f.name!r} is nested deeper than Spark Connect takes: 30 structs, 45 lists or 22 maps"
        try:
            stored(f.type)
        except Unstorable as e:
            return f"its column {f.name!r} is of type {e}, which no table of Spark's can hold"
    return None


def takes(column: str, found: str) -> bool:
    """Whether a column of this type takes a file's values of that type."""
    found = _STORED_AS.get(found, found)
    if column == found or found in _TAKES.get(column, ()):
        return True
    theirs = _decimal(found)
    if theirs is not None and column == "string":
        return True
    ours = _decimal(column)
    if ours is None or (theirs is None and found not in _DIGITS):
        return False
    digits, scale = theirs or (_DIGITS[found], 0)
    return scale <= ours[1] and digits - scale <= ours[0] - ours[1]


def merged(first: Type, second: Type) -> Type:
    """One column type for both (both as ``stored``). Where none takes both, the first stays."""
    match first, second:
        case Struct(fields=ours), Struct(fields=theirs):
            also = {f.name: f for f in theirs}
            both = (Field(f.name, merged(f.type, also.pop(f.name).type)) if f.name in also else f for f in ours)
            return Struct((*both, *also.values()))
        case Array(element=ours), Array(element=theirs):
            return Array(merged(ours, theirs))
        case Map(key=key, value=ours), Map(key=other, value=theirs) if key == other:
            return Map(key, merged(ours, theirs))
        case str(), str() if second != "string" and takes(second, first):
            return second
        case str(), str():
            return _wider_decimal(first, second) or first
        case _:
            return first


def _weight(found: Type) -> int:
    """Of structs and lists, in how many messages, one inside the other, Spark Connect tells of them. A map weighs more:
    what Spark makes of maps in maps grows faster."""
    match found:
        case Struct(fields=fields):
            return 3 + max((_weight(f.type) for f in fields), default=0)
        case Array(element=inner):
            return 2 + _weight(inner)
        case Map(key=key, value=inner):
            return 4 + max(_weight(key), _weight(inner))
        case str():
            return 0


def _wider_decimal(first: str, second: str) -> str | None:
    one, other = _decimal(first), _decimal(second)
    if one is None or other is None:
        return None
    scale = max(one[1], other[1])
    digits = max(one[0] - one[1], other[0] - other[1]) + scale
    return f"decimal({digits},{scale})" if digits <= _DECIMAL_DIGITS_MAX else None


def _decimal(found: str) -> tuple[int, int] | None:
    """Digits in all, and behind the point."""
    match = _DECIMAL.fullmatch(found)
    return (int(match[1]), int(match[2])) if match else None
