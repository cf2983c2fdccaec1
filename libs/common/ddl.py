"""Types and columns as people write them for Spark: ``decimal(10,2)``, ``a int, tags map<string,string>``, or the JSON
of a ``StructType``. Pure.

Every name of a type becomes the one that an Iceberg table shows, so that what was written can be held against what a
table has: ``long`` is ``bigint``, and ``smallint`` is ``int``, since Iceberg has none smaller.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from libs.common.schema import Array, Field, Map, Struct, Type, quoted

_SCALARS = {
    **dict.fromkeys(("tinyint", "byte", "smallint", "short", "int", "integer"), "int"),
    **dict.fromkeys(("bigint", "long"), "bigint"),
    **dict.fromkeys(("float", "real"), "float"),
    **dict.fromkeys(("string", "varchar", "char"), "string"),
    **dict.fromkeys(("timestamp", "timestamp_ltz"), "timestamp"),
    **{name: name for name in ("double", "boolean", "binary", "date", "timestamp_ntz")},
}
_DECIMALS = ("decimal", "dec", "numeric")
_DIGITS_MAX = 38
_DEPTH_MAX = 50
_TOKEN = re.compile(r"\s*(?:(`(?:[^`]|``)*`)|(\w+)|('(?:[^'\\]|\\.)*')|(.))", re.DOTALL)


def parse_type(text: str) -> Type:
    """The type that the text names.

    Raises:
        ValueError: it names none; says what is wrong.
    """
    reader = _Reader(text)
    found = reader.type()
    reader.end()
    return found


def parse_columns(text: str) -> Struct:
    """The columns of a list such as ``a int, b struct<c: string>``; ``NOT NULL`` makes one required.

    Raises:
        ValueError: as ``parse_type``; also for two names that differ in case only.
    """
    reader = _Reader(text)
    found = Struct(reader.fields())
    reader.end()
    return found


def parse_path(text: str) -> tuple[str, ...]:
    """The names on the way to a field: ``meta.ts``, ``items.element.price``; a name with a dot goes into backticks.

    Raises:
        ValueError: an empty name.
    """
    parts = re.findall(r"`(?:[^`]|``)*`|[^.`]+|\.", text)
    names = parts[::2]
    if "".join(parts) != text or len(parts) % 2 == 0 or "." in names or set(parts[1::2]) > {"."}:
        raise ValueError(f"{text!r} is no path to a field; write names with dots between them, as in meta.ts")
    return tuple(_bare(name) for name in names)


def written_path(path: Iterable[str]) -> str:
    """The inverse of ``parse_path``."""
    return ".".join(quoted(name) if "." in name or "`" in name else name for name in path)


def columns_of(given: str | Mapping[str, Any]) -> Struct:
    """The columns that a person gave: DDL, or the JSON of a Spark ``StructType``.

    Raises:
        ValueError: as ``parse_type``; also for no column at all.
    """
    found = parse_columns(given) if isinstance(given, str) else _of_json(given, "", 0)
    if not isinstance(found, Struct):
        raise ValueError("the outermost type must be a struct: its fields are the columns")  # noqa: TRY004 - of a value
    return found


def keys_that_are_no_text(found: Type) -> bool:
    """Whether there is a map in it whose keys are no strings: JSON has no such."""
    match found:
        case Struct(fields=fields):
            return any(keys_that_are_no_text(f.type) for f in fields)
        case Array(element=inner):
            return keys_that_are_no_text(inner)
        case Map(key=key, value=inner):
            return key != "string" or keys_that_are_no_text(inner)
        case _:
            return False


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = [next(filter(None, groups)) for groups in _TOKEN.findall(text.rstrip())]
        self._at = 0
        self._depth = 0

    def type(self) -> Type:
        name = self._take().lower()
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise ValueError(f"types are nested more than {_DEPTH_MAX} deep")
        found: Type
        match name:
            case "array":
                self._expect("<")
                found = Array(self.type())
                self._expect(">")
            case "map":
                self._expect("<")
                key = self.type()
                self._expect(",")
                found = Map(key, self.type())
                self._expect(">")
            case "struct":
                self._expect("<")
                found = Struct(self.fields())
                self._expect(">")
            case _:
                found = _scalar(name, self._numbers(), self._text)
        self._depth -= 1
        return found

    def fields(self) -> tuple[Field, ...]:
        found = [self._field()]
        while self._took(","):
            found.append(self._field())
        return _named_once(found)

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise ValueError(f"{self._text!r} goes on after the type, with {self._tokens[self._at]!r}")

    def _field(self) -> Field:
        name = _bare(self._take())
        self._took(":")
        found, required = self.type(), False
        if self._took("not"):
            self._expect("null")
            required = True
        if self._took("comment"):
            self._take()
        return Field(name, found, required)

    def _numbers(self) -> list[int]:
        numbers: list[int] = []
        if self._took("("):
            while not self._took(")"):
                number = self._take()
                if not number.isdecimal():
                    raise ValueError(f"{self._text!r} has {number!r} where a number belongs")
                numbers.append(int(number))
                self._took(",")
        return numbers

    def _take(self) -> str:
        if self._at == len(self._tokens):
            raise ValueError(f"{self._text!r} ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _took(self, token: str) -> bool:
        is_next = self._at < len(self._tokens) and self._tokens[self._at].lower() == token
        self._at += is_next
        return is_next

    def _expect(self, token: str) -> None:
        if not self._took(token):
            found = self._tokens[self._at] if self._at < len(self._tokens) else "its end"
            raise ValueError(f"{self._text!r} has {found!r} where {token!r} belongs")


def _scalar(name: str, numbers: list[int], text: str) -> str:
    if name in _DECIMALS:
        precision, scale, *more = (*numbers, *(10, 0)[len(numbers) :])
        if more or not 0 < precision <= _DIGITS_MAX or scale > precision:
            raise ValueError(f"{text!r}: a decimal has 1 to {_DIGITS_MAX} digits, and no more of them after its point")
        return f"decimal({precision},{scale})"
    if name not in _SCALARS or (numbers and _SCALARS[name] != "string"):
        raise ValueError(
            f"{text!r}: {name!r} is no type of a column; write one of {', '.join(sorted(set(_SCALARS.values())))}, "
            "decimal(p,s), array<…>, map<…,…>, struct<name: type, …>"
        )
    return _SCALARS[name]


def _of_json(value: Any, place: str, depth: int) -> Type:
    where = f" at {place}" if place else ""
    if depth > _DEPTH_MAX:
        raise ValueError(f"types are nested more than {_DEPTH_MAX} deep")
    if isinstance(value, str):
        found = parse_type(value)
        if not isinstance(found, str):
            raise ValueError(f"{value!r}{where} is DDL inside of JSON; write one or the other")  # noqa: TRY004
        return found
    try:
        match value["type"]:
            case "struct":
                fields = [
                    Field(
                        str(f["name"]),
                        _of_json(f["type"], f"{place}.{f['name']}".lstrip("."), depth + 1),
                        required=not f.get("nullable", True),
                    )
                    for f in value["fields"]
                ]
                return Struct(_named_once(fields))
            case "array":
                return Array(_of_json(value["elementType"], f"{place}.element", depth + 1))
            case "map":
                key = _of_json(value["keyType"], f"{place}.key", depth + 1)
                return Map(key, _of_json(value["valueType"], f"{place}.value", depth + 1))
            case other:
                raise ValueError(f"{other!r}{where} is no type of a column")
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"this is not the JSON of a Spark StructType{where}: {e} is missing or wrong") from e


def _named_once(fields: list[Field]) -> tuple[Field, ...]:
    if not fields:
        raise ValueError("a struct needs at least one field")
    seen: set[str] = set()
    for f in fields:
        if not f.name:
            raise ValueError("a field has no name")
        if f.name.lower() in seen:
            raise ValueError(f"field {f.name!r} is there twice (case does not count)")
        seen.add(f.name.lower())
    return tuple(fields)


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
