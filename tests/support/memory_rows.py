"""JSON lines as the tables in memory read them: what Spark makes of a line, of its fields, and of their types."""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from libs.common.schema import Array, Field, Map, Struct, Type
from services.executor.domain.provenance import data_of, is_rescued, is_rescuing


def lines(body: bytes) -> list[bytes]:
    """The lines of a file, whichever way they end, without a byte order mark."""
    *lines, rest = re.split(rb"\r\n|\r|\n", body.removeprefix(codecs.BOM_UTF8))
    return [*lines, rest] if rest else lines


def record(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None if it is anything else."""
    try:
        value = json.loads(line.decode())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def why_bad(line: bytes) -> str:
    """In fewer words than the reader on Spark has."""
    if record(line) is not None:
        return "a value does not fit its column"
    return "a JSON object that is cut short" if line.strip().startswith(b"{") else "not JSON"


def is_row(schema: Struct, value: Mapping[str, Any]) -> bool:
    """Whether a table of the schema takes the object."""
    data = data_of(schema)
    lost = set(misfits(data, value))
    required = [f.name for f in data.fields if f.required]
    has_all = all(value.get(name) is not None and name not in lost for name in required)
    return bool(data.fields) and has_all and (not lost or is_rescuing(schema))


def row(schema: Struct, value: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """What the table's columns hold of the object; ``uri`` is its file."""
    data = data_of(schema)
    lost = set(misfits(data, value))
    held = {name: inner for name, inner in value.items() if data.get(name) is not None and name not in lost}
    grown = {f.name for f in data.fields if any(unknown_names(f.type, value.get(f.name)))}
    rest = {name: v for name, v in value.items() if v is not None and (name not in held or name in grown)}
    column = next((f.name for f in schema.fields if is_rescued(f)), None)
    return held | ({column: json.dumps({**rest, "_file_path": uri})} if column and rest else {})


def misfits(schema: Struct, value: Mapping[str, Any]) -> Iterator[str]:
    """The columns that do not take what the object has for them."""
    return (f.name for f in schema.fields if not _fits(f.type, value.get(f.name)))


def _fits(found: Type, value: Any) -> bool:
    """Whether a column of the type takes the value."""
    if value is None:
        return True
    match found:
        case Struct(fields=fields):
            return isinstance(value, dict) and all(_fits(f.type, value.get(f.name)) for f in fields)
        case Array(element=inner):
            return isinstance(value, list) and all(_fits(inner, v) for v in value)
        case Map(value=inner):
            return isinstance(value, dict) and all(_fits(inner, v) for v in value.values())
        case "boolean":
            return isinstance(value, bool)
        case "int":
            return _is_number(value, int) and -(2**31) <= value < 2**31
        case "bigint":
            return _is_number(value, int)
        case "double" | "float":
            return _is_number(value, int, float)
        case str() if found.startswith("decimal("):
            digits, scale = map(int, found.removeprefix("decimal(").removesuffix(")").split(","))
            return _is_number(value, int, float) and abs(value) < 10 ** (digits - scale)
        case _:
            return True


def _is_number(value: Any, *types: type) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)


def unknown_names(found: Type, value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Dotted names that the value has and the type has not."""
    match found, value:
        case Struct(), dict():
            for name, inner in value.items():
                known = found.get(name)
                if known is None:
                    yield ".".join((*path, name))
                else:
                    yield from unknown_names(known.type, inner, (*path, name))
        case Array(element=element), list():
            for inner in value:
                yield from unknown_names(element, inner, (*path, "element"))
        case Map(value=of), dict():
            for inner in value.values():
                yield from unknown_names(of, inner, (*path, "value"))


def value_at(value: Any, path: tuple[str, ...]) -> Any:
    """What objects in objects hold there; None if there is nothing, or something else on the way."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def struct_of(value: Mapping[str, Any]) -> Struct:
    """The schema that one object shows."""
    return Struct(tuple(Field(name, _type(v)) for name, v in value.items()))


def merged(found: Struct, more: Struct) -> Struct:
    """Every field of both, each spelling of its own, as Spark infers them; the first type of a field stays."""
    fields = {f.name: f for f in found.fields}
    for f in more.fields:
        known = fields.setdefault(f.name, f)
        if isinstance(known.type, Struct) and isinstance(f.type, Struct):
            fields[f.name] = Field(f.name, merged(known.type, f.type))
    return Struct(tuple(fields.values()))


def _type(value: Any) -> Type:
    match value:
        case dict():
            return struct_of(value)
        case list():
            return Array(_type(value[0]) if value else "string")
        case bool():
            return "boolean"
        case int():
            return "bigint"
        case float():
            return "double"
        case _:
            return "string"
