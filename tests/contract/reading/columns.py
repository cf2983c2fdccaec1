"""A table of every type that files may bring, and what becomes of each: as pyarrow reads it, in the table's type."""

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

ROWS = 4


def wall(*at: int) -> dt.datetime:
    """A time without a zone."""
    return dt.datetime(*at, tzinfo=dt.UTC).replace(tzinfo=None)  # type: ignore[arg-type, misc]


_DAY = wall(2024, 2, 29, 12, 34, 56, 789_012)
_OLD = wall(1, 1, 1)


def _whole(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    return pa.array([*values, *[None] * ROWS][:ROWS], type_)


def _the_same(value: Any) -> Any:
    return value


def _text_of_time(value: dt.time | None) -> str | None:
    return None if value is None else value.isoformat("microseconds")


def _text_of_uuid(value: uuid.UUID | bytes | None) -> str | None:
    """Without Arrow's own schema in the file, pyarrow takes it for bytes."""
    return None if value is None else str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)


class Column(NamedTuple):
    """What is written, the type that it has in the table, and what a value that pyarrow reads is there."""

    written: pa.Array
    type: str
    told: Callable[[Any], Any] = _the_same


_COLUMNS: dict[str, tuple[Any, ...]] = {
    "id": (pa.array(range(ROWS), pa.int64()), "int64"),
    "boolean": (_whole([True, False, True], pa.bool_()), "bool"),
    "int8": (_whole([-128, 0, 127], pa.int8()), "int32"),
    "int16": (_whole([-(2**15), 0, 2**15 - 1], pa.int16()), "int32"),
    "int32": (_whole([-(2**31), 0, 2**31 - 1], pa.int32()), "int32"),
    "int64": (_whole([-(2**63), 0, 2**63 - 1], pa.int64()), "int64"),
    "uint8": (_whole([0, 1, 255], pa.uint8()), "int32"),
    "uint16": (_whole([0, 1, 2**16 - 1], pa.uint16()), "int32"),
    "uint32": (_whole([0, 1, 2**32 - 1], pa.uint32()), "int64"),
    "uint64": (_whole([0, 1, 2**64 - 1], pa.uint64()), "decimal128(20, 0)"),
    "float": (_whole([0.5, -1.25, float("inf")], pa.float32()), "float"),
    "double": (_whole([0.1, -1e300, float("-inf")], pa.float64()), "double"),
    "decimal of 5": (_whole([decimal.Decimal("123.45")] * 3, pa.decimal128(5, 2)), "decimal128(5, 2)"),
    "decimal of 38": (
        _whole([decimal.Decimal("1" * 20 + "." + "2" * 18)] * 3, pa.decimal128(38, 18)),
        "decimal128(38, 18)",
    ),
    "string": (_whole(["", "caf\u00e9", "\U0001f600"], pa.string()), "string"),
    "large string": (_whole(["a", "b", "c"], pa.large_string()), "string"),
    "dictionary": (pa.array(["a", "b", "a", None]).dictionary_encode(), "string"),
    "binary": (_whole([b"", b"\x00\xff", b"x"], pa.binary()), "binary"),
    "fixed": (_whole([b"abcd", b"\x00\x00\x00\x00", b"wxyz"], pa.binary(4)), "binary"),
    "uuid": (
        _whole([uuid.UUID(int=n).bytes for n in (0, 1, 2**128 - 1)], pa.uuid()),
        "string",
        _text_of_uuid,
    ),
    "date": (_whole([dt.date(1, 1, 1), dt.date(1970, 1, 1), dt.date(9999, 12, 31)], pa.date32()), "date32[day]"),
    "time of ms": (_whole([dt.time(0), dt.time(23, 59, 59, 999_000)], pa.time32("ms")), "string", _text_of_time),
    "time of us": (_whole([dt.time(0), dt.time(23, 59, 59, 999_999)], pa.time64("us")), "string", _text_of_time),
    "time of ns": (_whole([dt.time(0), dt.time(23, 59, 59, 999_999)], pa.time64("ns")), "string", _text_of_time),
    "timestamp of ms": (_whole([_OLD, wall(1970, 1, 1, 0, 0, 0, 1000)], pa.timestamp("ms")), "timestamp[us]"),
    "timestamp of us": (_whole([_OLD, _DAY], pa.timestamp("us")), "timestamp[us]"),
    "timestamp of ns": (_whole([wall(1969, 12, 31, 23, 59, 59, 999_999), _DAY], pa.timestamp("ns")), "timestamp[us]"),
    "instant of ms": (
        _whole([dt.datetime(1970, 1, 1, tzinfo=dt.UTC)], pa.timestamp("ms", "UTC")),
        "timestamp[us, tz=UTC]",
    ),
    "instant of us": (
        _whole([_OLD.replace(tzinfo=dt.UTC), _DAY.replace(tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        "timestamp[us, tz=UTC]",
    ),
    "instant of ns": (_whole([_DAY.replace(tzinfo=dt.UTC)], pa.timestamp("ns", "UTC")), "timestamp[us, tz=UTC]"),
    "list": (pa.array([[1, None], [], None, [2]], pa.list_(pa.int32())), "list<element: int32>"),
    "struct": (
        pa.array([{"x": 1, "in": {"y": "a"}}, {"x": None, "in": None}, None, {"x": 2, "in": {"y": None}}]),
        "struct<x: int64, in: struct<y: string>>",
    ),
    "map": (pa.array([[("a", 1)], [], None, [("b", None)]], pa.map_(pa.string(), pa.int64())), "map<string, int64>"),
    "list of structs": (pa.array([[{"x": 1}, None], [], None, [{"x": None}]]), "list<element: struct<x: int64>>"),
    "list of small numbers and times": (
        pa.array(
            [[{"n": 1, "t": _DAY}], [], None, [None]], pa.list_(pa.struct({"n": pa.int8(), "t": pa.timestamp("ns")}))
        ),
        "list<element: struct<n: int32, t: timestamp[us]>>",
    ),
    "a.b `c` d": (_whole(["x"], pa.string()), "string"),
    "path": (_whole(["x"], pa.string()), "string"),
}
COLUMNS = {name: Column(*column) for name, column in _COLUMNS.items()}


def table_of(first_id: int, names: Sequence[str] = tuple(COLUMNS)) -> pa.Table:
    """Some rows, with an ``id`` that nobody else's have."""
    ids = pa.array(range(first_id, first_id + ROWS), pa.int64())
    return pa.table({name: ids if name == "id" else COLUMNS[name].written for name in names})
