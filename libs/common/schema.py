"""The shape of rows, as plain values: what Spark's JSON form of a schema says, without Spark.

A scalar type is its name as SQL writes it (``bigint``, ``decimal(10,2)``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Array:
    element: "Type"


@dataclass(frozen=True, slots=True)
class Map:
    key: "Type"
    value: "Type"


@dataclass(frozen=True, slots=True)
class Field:
    """``required``: the table takes no row without a value here (NOT NULL). ``comment`` is the table's word on the
    column; it marks the ones that are ours (``provenance.py``)."""

    name: str
    type: "Type"
    required: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Struct:
    fields: tuple[Field, ...] = ()

    def get(self, name: str) -> Field | None:
        """The field of exactly this name."""
        return next((f for f in self.fields if f.name == name), None)


Type = str | Array | Map | Struct

_SQL_NAMES = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
_JSON_NAMES = {sql: json for json, sql in _SQL_NAMES.items()}


def struct_from_json(schema: Any) -> Struct:
    """The struct that Spark's ``StructType.jsonValue()`` describes."""
    found = _from_json(schema)
    if not isinstance(found, Struct):
        raise TypeError(f"not a struct: {schema!r}")
    return found


def _from_json(value: Any) -> Type:
    if isinstance(value, str):
        return _SQL_NAMES.get(value, value)
    match value["type"]:
        case "struct":
            return Struct(
                tuple(
                    Field(
                        f["name"],
                        _from_json(f["type"]),
                        required=not f.get("nullable", True),
                        comment=f.get("metadata", {}).get("comment", ""),
                    )
                    for f in value["fields"]
                )
            )
        case "array":
            return Array(_from_json(value["elementType"]))
        case "map":
            return Map(_from_json(value["keyType"]), _from_json(value["valueType"]))
        case other:
            raise TypeError(f"unknown type {other!r}")


def to_json(found: Type) -> Any:
    """The inverse of ``struct_from_json``; every field nullable, since a file may leave any of them out."""
    match found:
        case Struct(fields=fields):
            return {
                "type": "struct",
                "fields": [{"name": f.name, "type": to_json(f.type), "nullable": True, "metadata": {}} for f in fields],
            }
        case Array(element=element):
            return {"type": "array", "elementType": to_json(element), "containsNull": True}
        case Map(key=key, value=value):
            return {"type": "map", "keyType": to_json(key), "valueType": to_json(value), "valueContainsNull": True}
        case str(name):
            return _JSON_NAMES.get(name, name)


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever it holds."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text as an SQL literal, whatever it holds."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def sql(found: Type) -> str:
    """The type as SQL writes it."""
    match found:
        case Struct(fields=fields):
            return "struct<" + ", ".join(f"{quoted(f.name)}: {sql(f.type)}" for f in fields) + ">"
        case Array(element=element):
            return f"array<{sql(element)}>"
        case Map(key=key, value=value):
            return f"map<{sql(key)}, {sql(value)}>"
        case str(name):
            return name


def structs_in(found: Type, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Struct]]:
    """Every struct, with its path; the root first. ``element`` and ``value`` lead into arrays and maps, as in
    Iceberg's SQL."""
    match found:
        case Struct(fields=fields):
            yield path, found
            for f in fields:
                yield from structs_in(f.type, (*path, f.name))
        case Array(element=inner):
            yield from structs_in(inner, (*path, "element"))
        case Map(value=inner):
            yield from structs_in(inner, (*path, "value"))


def distinct(found: Type) -> Type:
    """The type without fields that differ in case only from an earlier one: as columns they would be ambiguous to
    every reader that ignores case."""
    match found:
        case Struct(fields=fields):
            first: dict[str, Field] = {}
            for f in fields:
                first.setdefault(f.name.lower(), replace(f, type=distinct(f.type)))
            return Struct(tuple(first.values()))
        case Array(element=inner):
            return Array(distinct(inner))
        case Map(key=key, value=inner):
            return Map(key, distinct(inner))
        case _:
            return found
