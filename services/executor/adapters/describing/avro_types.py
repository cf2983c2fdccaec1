"""From an Avro schema to ours, as Spark's reader sees it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from libs.common.schema import Array, Field, Map, Struct, Type

_PRIMITIVES: Final[Mapping[str, str | None]] = {
    "null": None,
    "boolean": "boolean",
    "int": "int",
    "long": "bigint",
    "float": "float",
    "double": "double",
    "bytes": "binary",
    "string": "string",
}
_LOGICAL: Final[Mapping[tuple[str, str], str]] = {
    ("int", "date"): "date",
    ("int", "time-millis"): "time_ms",
    ("long", "time-micros"): "time_us",
    ("long", "timestamp-millis"): "timestamp",
    ("long", "timestamp-micros"): "timestamp",
    ("long", "timestamp-nanos"): "timestamp_ns",
    ("long", "local-timestamp-millis"): "timestamp_ntz",
    ("long", "local-timestamp-micros"): "timestamp_ntz",
    ("long", "local-timestamp-nanos"): "timestamp_ntz_ns",
}
# Of one number in two widths, the wider one.
_ONE_OF_TWO: Final[Mapping[frozenset[Type], str]] = {
    frozenset({"int", "bigint"}): "bigint",
    frozenset({"float", "double"}): "double",
}
_NULLS: Final = ("null", {"type": "null"})
_UUID_BYTES: Final = 16


class NoSchema(ValueError):
    """It describes no records that can be read. The message says why, as the end of a sentence about the file."""


def schema_of(text: bytes) -> Struct:
    """The columns of a file with this schema, without those that have no value ever.

    Raises:
        NoSchema: as its message says.
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("type") not in ("record", "error"):
            raise NoSchema("its schema is no record, so its values have no columns")
        return _Types().of_record(found, "") or Struct()
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        if isinstance(e, NoSchema):
            raise
        raise NoSchema(f"its schema cannot be read: {type(e).__name__} {e}"[:300]) from e


class _Types:
    """What a schema has named so far, by full name. While a type is looked into, it is in ``_open``."""

    def __init__(self) -> None:
        self._named: dict[str, Type | None] = {}
        self._open: set[str] = set()

    def of(self, found: Any, space: str) -> Type | None:
        """The type; None: it has no value ever. ``space`` is the namespace in which names without a dot are meant."""
        if isinstance(found, str):
            return _PRIMITIVES[found] if found in _PRIMITIVES else self._by_name(found, space)
        if isinstance(found, list):
            return self._of_union(found, space)
        match found["type"]:
            case "record" | "error":
                return self.of_record(found, space)
            case "enum":
                return self._name(found, space, "string")
            case "fixed":
                return self._name(found, space, _of_fixed(found))
            case "array":
                inner = self.of(found["items"], space)
                return None if inner is None else Array(inner)
            case "map":
                inner = self.of(found["values"], space)
                return None if inner is None else Map("string", inner)
            case str(name) if name in _PRIMITIVES:
                return _of_primitive(name, found)
            case other:
                return self.of(other, space)

    def of_record(self, found: Mapping[str, Any], space: str) -> Struct | None:
        name = _full_name(found, space)
        self._open.add(name)
        inside = name.rpartition(".")[0]
        fields = [(f["name"], self.of(f["type"], inside)) for f in found["fields"]]
        self._open.remove(name)
        struct = Struct(tuple(Field(name, type_) for name, type_ in fields if type_ is not None))
        self._name(found, space, struct if struct.fields else None)
        return struct if struct.fields else None

    def _of_union(self, found: Sequence[Any], space: str) -> Type | None:
        kinds = [self.of(one, space) for one in found if one not in _NULLS]
        if len(kinds) <= 1:
            return kinds[0] if kinds else None
        known = [kind for kind in kinds if kind is not None]
        if len(known) < len(kinds):
            raise NoSchema("its schema lets a field choose between types one of which has no value")
        if len(kinds) == 2 and (wider := _ONE_OF_TWO.get(frozenset(known))) is not None:
            return wider
        return Struct(tuple(Field(f"member{n}", kind) for n, kind in enumerate(known)))

    def _name(self, found: Mapping[str, Any], space: str, type_: Type | None) -> Type | None:
        name = _full_name(found, space)
        if name in self._named:
            raise NoSchema(f"its schema says twice what {name!r} is")
        self._named[name] = type_
        return type_

    def _by_name(self, name: str, space: str) -> Type | None:
        for full in (name, f"{space}.{name}"):
            if full in self._open:
                raise NoSchema(f"its type {full!r} holds itself, and no table has columns without an end")
            if full in self._named:
                return self._named[full]
        raise NoSchema(f"its schema does not say what {name!r} is")


def _full_name(found: Mapping[str, Any], space: str) -> str:
    name: str = found["name"]
    space = found.get("namespace", space)
    return name if "." in name or not space else f"{space}.{name}"


def _of_primitive(name: str, found: Mapping[str, Any]) -> str | None:
    if name == "bytes":
        return _decimal(found) or "binary"
    return _LOGICAL.get((name, str(found.get("logicalType")))) or _PRIMITIVES[name]


def _of_fixed(found: Mapping[str, Any]) -> str:
    size: int = found["size"]
    if found.get("logicalType") == "uuid" and size == _UUID_BYTES:
        return "uuid"
    digits_max = len(str((1 << (8 * size - 1)) - 1)) - 1 if size else 0
    return _decimal(found, digits_max) or "binary"


def _decimal(found: Mapping[str, Any], digits_max: int | None = None) -> str | None:
    """None: it is no decimal, or none that can be, which Avro takes for plain bytes."""
    digits, scale = found.get("precision"), found.get("scale", 0)
    if found.get("logicalType") != "decimal" or not isinstance(digits, int) or not isinstance(scale, int):
        return None
    is_one = 0 < digits <= (digits_max or digits) and 0 <= scale <= digits
    return f"decimal({digits},{scale})" if is_one else None
