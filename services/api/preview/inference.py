"""Which columns and types lines of JSON make, as Spark infers them, with the evidence. Pure.

``Places`` is a tree of all the places in the objects, each with the kinds of values that were seen there, and the file
that showed each kind first. The type of a place follows from its kinds alone, so the order of lines and files does not
matter. A contract test holds it against Spark (tests/contract/table/test_inference.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from libs.common.schema import Array, Field, Struct, Type

_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1
_LONG_DIGITS = 20
"""What Spark reserves for a bigint among decimals."""
_DECIMAL_DIGITS_MAX = 38
_NUMBER_CHARS_MAX = 1000
_NUMBERS = frozenset({"bigint", "decimal", "double"})


@dataclass(slots=True)
class Place:
    """One place: a field, or what is inside an array. ``kinds``: each kind that was seen here, and the first file that
    showed it. A null is of no kind. ``empty_in``: the first file with a text of no characters here."""

    kinds: dict[str, str] = field(default_factory=dict)
    digits: int = 0
    fields: "dict[str, Place]" = field(default_factory=dict)
    element: "Place | None" = None
    empty_in: str | None = None

    def see(self, value: Any, file: str) -> None:
        """Takes note of a value, and of everything in it."""
        kind = self._kind(value, file)
        if kind is not None:
            self.kinds.setdefault(kind, file)
        if kind == "object":
            for name, inner in value.items():
                if name not in self.fields:
                    self.fields[name] = Place()
                self.fields[name].see(inner, file)
        elif kind == "array":
            self.element = self.element or Place()
            for inner in value:
                self.element.see(inner, file)

    def _kind(self, value: Any, file: str) -> str | None:
        match value:
            case None:
                return None
            case "":  # some write this for null: alone it gives a place no type
                self.empty_in = self.empty_in or file
                return None
            case str():
                return "string"
            case bool():
                return "boolean"
            case float():
                return "double"
            case int() if _LONG_MIN <= value <= _LONG_MAX:
                return "bigint"
            case int():
                digits = len(str(abs(value)))
                self.digits = max(self.digits, digits if digits <= _DECIMAL_DIGITS_MAX else 0)
                return "decimal" if digits <= _DECIMAL_DIGITS_MAX else "double"
            case list():
                return "array"
            case _:
                return "object"

    @property
    def is_mixed(self) -> bool:
        """Whether values were seen that have no type in common but text."""
        return len(self.kinds) > 1 and not self.kinds.keys() <= _NUMBERS

    @property
    def type(self) -> Type | None:
        """None: no table can have a column of it, since it is an object without a field."""
        kinds = self.kinds.keys()
        if self.is_mixed or not kinds:
            return "string"
        if kinds <= _NUMBERS:
            return self._number(kinds)
        match next(iter(kinds)):
            case "object":
                return self.struct if self.struct.fields else None
            case "array":
                inner = self.element.type if self.element else "string"
                return None if inner is None else Array(inner)
            case scalar:
                return scalar

    def _number(self, kinds: Any) -> str:
        if "double" in kinds:
            return "double"
        if "decimal" in kinds:
            return f"decimal({max(self.digits, _LONG_DIGITS if 'bigint' in kinds else 0)},0)"
        return "bigint"

    @property
    def struct(self) -> Struct:
        """The fields that columns can be made of, in the order that Spark gives them."""
        named = [(name, place.type) for name, place in sorted(self.fields.items(), key=_by_utf16) if name]
        return Struct(tuple(Field(name, found) for name, found in named if found is not None))

    def walk(self, path: tuple[str, ...] = ()) -> "Iterator[tuple[tuple[str, ...], Place]]":
        """Every place that has a type of its own, with the way to it; what is inside a mixed one has none."""
        yield path, self
        if self.is_mixed:
            return
        for name, place in self.fields.items():
            yield from place.walk((*path, name))
        if self.element is not None:
            yield from self.element.walk((*path, "element"))


@dataclass(frozen=True, slots=True)
class Line:
    """What a line is. ``record``: the object that would be a row; None for a bad line. ``shown``: objects that give the
    table its columns; Spark takes them from bad lines, too."""

    record: dict[str, Any] | None
    shown: tuple[dict[str, Any], ...] = ()


def is_blank(line: bytes) -> bool:
    return not line.strip(b" \t\r")


def line_of(raw: bytes) -> Line:
    """Reads one line that is not blank. Only a single object is a record; a stray byte spoils a line for everything."""
    try:
        text = raw.decode().lstrip(" \t\r")
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return Line(None)
    shown = tuple(_objects_in(value))
    if not isinstance(value, dict) or text[end:].strip(" \t\r") or not _is_strict(text):
        return Line(None, shown)
    return Line(value, shown)


def _objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a root value: itself, or all that an array holds, if it holds nothing else."""
    level = [value]
    while True:
        level = [v for v in level if v is not None and v != ""]
        if all(isinstance(v, dict) for v in level):
            return level
        if not all(isinstance(v, list) for v in level):
            return []
        level = [inner for v in level for inner in v]


def _is_strict(text: str) -> bool:
    """Spark's inference takes NaN and Infinity for numbers; what then reads the lines does not."""
    if "NaN" not in text and "Infinity" not in text:
        return True
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(token: str) -> float:
    raise ValueError(f"{token} is no JSON")


def _readable(number: str) -> str:
    if len(number) > _NUMBER_CHARS_MAX:
        raise ValueError("a number of more characters than Spark reads")
    return number


def _by_utf16(item: tuple[str, Place]) -> bytes:
    """Java compares texts by their UTF-16 units."""
    return item[0].encode("utf-16-be", "surrogatepass")


_DECODER = json.JSONDecoder(
    parse_int=lambda number: int(_readable(number)), parse_float=lambda number: float(_readable(number))
)
