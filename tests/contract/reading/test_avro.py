"""Avro: what arrives in the table is what was written."""

import datetime as dt
import decimal
import uuid
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import pytest_asyncio

from libs.common.contracts.definition import Format
from services.executor.domain.audit import FileRead
from services.executor.ports import FilesUnreadable
from tests.contract.reading.columns import wall
from tests.contract.reading.place import Loaded, Place
from tests.support.avro_files import avro, record

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

AVRO = Format(type="avro")
CODECS = ("null", "deflate", "snappy", "bzip2", "xz", "zstandard")
LONG_AGO, NOW = wall(1, 1, 1), wall(2024, 2, 29, 12, 34, 56, 789_012)
INSTANT = "timestamp[us, tz=UTC]"
ID = uuid.UUID(int=2**128 - 2)
NANOS = 1_709_210_096_789_012_000


def at(time: dt.datetime) -> dt.datetime:
    return time.replace(tzinfo=dt.UTC)


def logical(of: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": of, "logicalType": name, **more}


def fixed(name: str, size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **more}


def named(name: str, **types: Any) -> dict[str, Any]:
    return {**record(**types), "name": name}


class Column(NamedTuple):
    """The type that is written, that of the table, the values, and what these are there, if they are others."""

    written: Any
    type: str
    values: list[Any]
    told: list[Any] | None = None


COLUMNS = {
    "boolean": Column("boolean", "bool", [True, False]),
    "int": Column("int", "int32", [-(2**31), 2**31 - 1]),
    "long": Column("long", "int64", [-(2**63), 2**63 - 1]),
    "float": Column("float", "float", [-1.25, float("inf")]),
    "double": Column("double", "double", [0.1, -1e300]),
    "string": Column("string", "string", ["", "caf\u00e9 \U0001f600"]),
    "bytes": Column("bytes", "binary", [b"", b"\x00\xff"]),
    "fixed": Column(fixed("Four", 4), "binary", [b"abcd", b"\x00\x00\x00\x00"]),
    "enum": Column({"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}, "string", ["BLUE", "RED"]),
    "decimal_of_bytes": Column(
        logical("bytes", "decimal", precision=5, scale=2),
        "decimal128(5, 2)",
        [decimal.Decimal("-123.45"), decimal.Decimal("0.01")],
    ),
    "decimal_of_fixed": Column(
        fixed("Sixteen", 16, logicalType="decimal", precision=38, scale=18),
        "decimal128(38, 18)",
        [decimal.Decimal("1" * 20 + "." + "2" * 18), decimal.Decimal("-0." + "0" * 17 + "1")],
    ),
    "date": Column(logical("int", "date"), "date32[day]", [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "time_ms": Column(
        logical("int", "time-millis"),
        "string",
        [dt.time(0), dt.time(23, 59, 59, 999_000)],
        ["00:00:00.000000", "23:59:59.999000"],
    ),
    "time_us": Column(logical("long", "time-micros"), "string", [dt.time(12, 0, 0, 1)], ["12:00:00.000001"]),
    "instant_ms": Column(logical("long", "timestamp-millis"), INSTANT, [at(LONG_AGO), at(wall(2024, 1, 1))]),
    "instant_us": Column(logical("long", "timestamp-micros"), INSTANT, [at(LONG_AGO), at(NOW)]),
    "instant_ns": Column(logical("long", "timestamp-nanos"), INSTANT, [0, NANOS], [at(wall(1970, 1, 1)), at(NOW)]),
    "wall_ms": Column(logical("long", "local-timestamp-millis"), "timestamp[us]", [LONG_AGO, wall(2024, 1, 1)]),
    "wall_us": Column(logical("long", "local-timestamp-micros"), "timestamp[us]", [LONG_AGO, NOW]),
    "wall_ns": Column(logical("long", "local-timestamp-nanos"), "timestamp[us]", [0, NANOS], [wall(1970, 1, 1), NOW]),
    "uuid": Column(logical("string", "uuid"), "string", [ID], [str(ID)]),
    "uuid_of_fixed": Column(fixed("Id", 16, logicalType="uuid"), "string", [ID.bytes], [str(ID)]),
    "duration": Column(fixed("Span", 12, logicalType="duration"), "binary", [b"\x01\x00\x00\x00" * 3]),
    "array": Column({"type": "array", "items": ["null", "int"]}, "list<element: int32>", [[1, None], []]),
    "map": Column({"type": "map", "values": ["null", "long"]}, "map<string, int64>", [{"a": 1, "b": None}, {}],
                  [[("a", 1), ("b", None)], []]),
    "record": Column(
        named("Outer", x=["null", "int"], inner=["null", named("Inner", y="string")]),
        "struct<x: int32, inner: struct<y: string>>",
        [{"x": 1, "inner": {"y": "a"}}, {"x": None, "inner": None}],
    ),
    "again": Column("Inner", "struct<y: string>", [{"y": "b"}]),
    "int_or_long": Column(["null", "int", "long"], "int64", [1, 2**40]),
    "float_or_double": Column(["null", "float", "double"], "double", [0.5, 0.25]),
    "int_or_string": Column(
        ["null", "string", "int"], "struct<member0: string, member1: int32>", ["a", 7],
        [{"member0": "a", "member1": None}, {"member0": None, "member1": 7}],
    ),
}  # fmt: skip
ROWS = 3
"""Two values, and a null."""


def optional(written: Any) -> Any:
    return written if isinstance(written, list) else ["null", written]


SCHEMA = record(id="long", **{name: optional(column.written) for name, column in COLUMNS.items()})


def values(column: Column) -> list[Any]:
    return [*column.values, None, None][:ROWS]


def rows(first_id: int) -> list[dict[str, Any]]:
    return [{"id": first_id + n, **{name: values(c)[n] for name, c in COLUMNS.items()}} for n in range(ROWS)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loaded(shared_place: Place) -> Loaded:
    """A file of each codec, all in one batch. What they are named is of no account."""
    bodies = [avro(SCHEMA, rows(n * ROWS), codec, sync_interval=1) for n, codec in enumerate(CODECS)]
    names = [f"{codec}.avro" for codec in CODECS[1:]]
    files = [shared_place.put(name, body) for name, body in zip(["no ending", *names], bodies, strict=True)]
    return await shared_place.load(AVRO, files)


@pytest.mark.parametrize("codec", CODECS)
def test_every_type_is_read_as_it_was_written(loaded: Loaded, codec: str) -> None:
    """Value for value and type for type, however it is compressed."""
    number = CODECS.index(codec)
    assert FileRead(ROWS, ROWS) == loaded.reads[number]
    found = loaded.data.sort_by("id").slice(number * ROWS, ROWS).to_pydict()
    del found["id"]
    expected = {name: [*(c.told or c.values), None, None][:ROWS] for name, c in COLUMNS.items()}
    assert expected == found
    assert {"id": "int64", **{name: column.type for name, column in COLUMNS.items()}} == loaded.types


NONE = "it is no Avro file, or not a whole one: it"
WHOLE = avro(record(id="long", t="string"), [{"id": n, "t": f"text {n}"} for n in range(1000)], sync_interval=1000)
HEADER_BYTES = WHOLE.index(WHOLE[-16:]) + 16
TREE = named("Tree", id="long", next=["null", "Tree"])


async def test_files_that_are_no_avro_are_named_all_at_once(place: Place) -> None:
    """By what their bytes look like, or by what no table can have. The others load without them."""
    good, bad = place.put("good.avro", WHOLE), {
        place.put("csv.avro", b"id,name\n1,a\n"): f"{NONE} looks like text",
        place.put("json.avro", b'{"id": 1}\n'): f"{NONE} looks like JSON",
        place.put("nothing.avro", b""): f"{NONE} has no bytes",
        place.put("old.avro", b"Obj\x00" + WHOLE[4:]): f"{NONE} holds bytes of no format",
        place.put("cut.avro", WHOLE[:-30]): "it breaks off: it does not end with the mark",
        place.put("cut behind its header.avro", WHOLE[: HEADER_BYTES + 1]): "it breaks off: it does not end",
        place.put("mark.avro", WHOLE[:-16] + b"\xff" * 16): "it breaks off: it does not end with the mark",
        place.put("more.avro", WHOLE + b"more"): "it breaks off: it does not end with the mark",
        place.put("head.avro", WHOLE[: HEADER_BYTES - 1]): "it breaks off in its header",
        place.put("codec.avro", WHOLE.replace(b"\x08null", b"\x08lzma", 1)): "it is compressed with 'lzma'",
        place.put("schema.avro", WHOLE.replace(b'"record"', b'"rekord"', 1)): "its schema is no record",
        place.put("numbers.avro", avro("long", [1])): "its schema is no record",
        place.put("tree.avro", avro(TREE, [{"id": 1, "next": None}])): "its type 'Tree' holds itself",
        place.put(
            "decimal.avro",
            avro(record(id="long", d=logical("bytes", "decimal", precision=39)), [{"id": 1, "d": decimal.Decimal(1)}]),
        ): "its column 'd' is of type decimal(39,0), which no table",
    }  # fmt: skip
    table = place.table(AVRO)
    with pytest.raises(FilesUnreadable) as told:
        await table.infer([*bad, good])
    # What no table can have is told of those that are such files at all, so when the others are gone.
    [last] = [f for f in bad if f.key.endswith("decimal.avro")]
    assert {f.digest for f in bad} - {last.digest} == set(told.value.reasons)
    with pytest.raises(FilesUnreadable) as at_last:
        await table.infer([good, last])
    reasons = {**told.value.reasons, **at_last.value.reasons}
    assert [True] * len(bad) == [reasons[f.digest].startswith(why) for f, why in bad.items()], reasons


MIDDLE = WHOLE.index(WHOLE[-16:], len(WHOLE) // 2)
SPOILT = {
    "another mark": WHOLE[:MIDDLE] + b"\xff" * 16 + WHOLE[MIDDLE + 16 :],
    "other bytes": WHOLE[:2000] + b"\xff" * 500 + WHOLE[2500:],
    "a text that is too long": WHOLE.replace(b"\x10text 990", b"\x7etext 990"),
}


async def test_files_that_are_spoilt_inside_are_named(place: Place) -> None:
    """Their ends are whole, so only reading them tells; also if Spark finds no words for it."""
    good = place.put("good.avro", WHOLE)
    bad = [place.put(f"{name}.avro", body) for name, body in SPOILT.items()]
    table = place.table(AVRO)
    schema = await table.create(await table.infer([good]))
    with pytest.raises(FilesUnreadable) as told:
        await place.stage(table, [good, *bad], schema)
    named = {name: told.value.reasons.get(f.digest, "") for name, f in zip(SPOILT, bad, strict=True)}
    assert all(named.values()), named
    with pytest.raises(FilesUnreadable) as alone:
        await place.stage(table, [good, bad[-1]], schema)
    assert {bad[-1].digest: "its bytes cannot be decoded"} == dict(alone.value.reasons)


async def test_files_without_rows_are_known_to_be_empty(place: Place) -> None:
    """A header alone, and one with a block of nothing behind it; they still show the columns. A header may be long."""
    empty = avro(record(id="long"), [])
    long = avro(record(id={"type": "long", "doc": "x" * 100_000}), [{"id": 1}])
    bodies = [empty, empty + b"\0\0" + empty[-16:], long]
    files = [place.put(f"{n}.avro", body) for n, body in enumerate(bodies)]
    loaded = await place.load(AVRO, files)
    assert frozenset(f.digest for f in files[:2]) == loaded.staged.empty
    assert [{"id": 1}] == loaded.rows()
    assert {"id": "int64"} == loaded.types
    assert pa.types.is_int64(loaded.data.schema.field("id").type)
