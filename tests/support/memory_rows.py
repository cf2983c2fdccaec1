"""JSON lines as the tables in memory read them: what Spark makes of a line, of its fields, and of their types."""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from libs.common.schema import Array, Field, Map, Struct, Type


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


def is_row(schema: Struct, value: Mapping[str, Any]) -> bool:
    """Whether a table of the schema takes the object."""
    required = [f.name for f in schema.fields if f.required]
    return bool(schema.fields) and all(value.get(name) is not None for name in required) and _fits(schema, value)


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
        case "bigint":
            return isinstance(value, int) and not isinstance(value, bool)
        case "double":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return True


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


def known_part(schema: Struct, value: Mapping[str, Any]) -> dict[str, Any]:
    """What of the object has a column."""
    return {name: inner for name, inner in value.items() if schema.get(name) is not None}


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
