"""What is the same for all formats whose files bring their own types: how they fit into a table."""

import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
import pytest

from services.executor.domain.audit import FileRead
from services.executor.ports import SourceChanged
from tests.contract.reading.columns import wall
from tests.contract.reading.place import Place
from tests.support.typed_files import TYPED, Typed

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]


@pytest.fixture(params=TYPED)
def typed(request: pytest.FixtureRequest) -> Typed:
    return TYPED[request.param]


NARROWER: dict[str, tuple[pa.DataType, pa.DataType, Any]] = {
    "bigint_of_int": (pa.int64(), pa.int32(), -(2**31)),
    "double_of_float": (pa.float64(), pa.float32(), 0.5),
    "double_of_int": (pa.float64(), pa.int32(), 2**31 - 1),
    "double_of_bigint": (pa.float64(), pa.int64(), 2**53),
    "decimal_of_fewer_digits": (pa.decimal128(20, 2), pa.decimal128(10, 2), decimal.Decimal("1.23")),
    "decimal_of_fewer_decimals": (pa.decimal128(20, 2), pa.decimal128(10, 1), decimal.Decimal("1.2")),
    "decimal_of_int": (pa.decimal128(20, 2), pa.int32(), 7),
    "text_of_bigint": (pa.string(), pa.int64(), 7),
    "text_of_date": (pa.string(), pa.date32(), dt.date(2020, 2, 29)),
    "microseconds_of_nanoseconds": (pa.timestamp("us"), pa.timestamp("ns"), wall(2020, 1, 1)),
}


async def test_a_narrower_type_goes_into_a_wider_column(place: Place, typed: Typed) -> None:
    """From an older file, without a loss; the wider one came first, so the column is there."""
    first = pa.table({name: pa.nulls(1, column) for name, (column, _, _) in NARROWER.items()})
    older = pa.table({name: pa.array([value], found) for name, (_, found, value) in NARROWER.items()})
    loaded = await place.load(typed.format, [place.put("a", typed.write(first))], [place.put("b", typed.write(older))])
    assert [FileRead(1, 1)] == loaded.reads
    expected = {
        name: [str(value) if column == pa.string() else older[name].cast(column)[0].as_py()]
        for name, (column, _, value) in NARROWER.items()
    }
    assert expected == {name: loaded.table[name].drop_null().to_pylist() for name in NARROWER}


async def test_columns_come_and_go_and_change_their_places(place: Place, typed: Typed) -> None:
    """Missing ones are null, new ones are added, also inside structs and lists; case makes no difference."""
    old = pa.table({"id": [1], "s": [{"a": 1}], "l": [[{"a": 1}]], "gone": ["x"]})
    new = pa.table({"new": [0.5], "l": [[{"b": 2}, {"A": 3, "b": 4}]], "s": [{"b": True, "A": 2}], "ID": [2]})
    loaded = await place.load(typed.format, [place.put("a", typed.write(old))], [place.put("b", typed.write(new))])
    assert [FileRead(1, 1)] == loaded.reads
    assert [
        {"id": 1, "s": {"a": 1, "b": None}, "l": [{"a": 1, "b": None}], "gone": "x", "new": None},
        {"id": 2, "s": {"a": 2, "b": True}, "l": [{"a": None, "b": 2}, {"a": 3, "b": 4}], "gone": None, "new": 0.5},
    ] == loaded.rows("id")


MISFITS: dict[str, tuple[pa.DataType, pa.DataType, list[Any], int, str]] = {
    "text": (pa.int64(), pa.string(), ["a"], 1, "field 'text' is string here and bigint in the table"),
    "fraction": (pa.int64(), pa.float64(), [1.0], 1, "field 'fraction' is double here and bigint in the table"),
    "long": (pa.int32(), pa.int64(), [1], 1, "field 'long' is bigint here and int in the table"),
    "bytes": (pa.string(), pa.binary(), [b"a"], 1, "field 'bytes' is binary here and string in the table"),
    "zone": (
        pa.timestamp("us"),
        pa.timestamp("us", "UTC"),
        [0],
        1,
        "field 'zone' is timestamp here and timestamp_ntz in the table",
    ),
    "flat": (
        pa.struct({"a": pa.int64()}),
        pa.int64(),
        [1],
        1,
        "field 'flat' is bigint here and struct<`a`: bigint> in the table",
    ),
    "inside": (
        pa.struct({"a": pa.int64()}),
        pa.struct({"a": pa.string()}),
        [{"a": "b"}],
        1,
        "field 'inside.a' is string here and bigint in the table",
    ),
    "large": (
        pa.float64(),
        pa.int64(),
        [2**53, 2**53 + 1, 2**63 - 1],
        2,
        "column 'large' is double and cannot hold this bigint whole",
    ),
    "fine": (
        pa.timestamp("us"),
        pa.timestamp("ns"),
        [1000, 1001],
        1,
        "column 'fine' is timestamp_ntz and cannot hold this timestamp_ntz_ns whole",
    ),
}


def misfits_of(typed: Typed) -> dict[str, tuple[pa.DataType, pa.DataType, list[Any], int, str]]:
    """In ORC instants are refused, and times come as texts."""
    if typed.format.type != "orc":
        return MISFITS
    return {
        name: (column, found, values, bad, reason.replace("_ntz_ns", "_ntz_text"))
        for name, (column, found, values, bad, reason) in MISFITS.items()
        if name != "zone"
    }


async def test_what_a_column_cannot_hold_is_named(place: Place, typed: Typed) -> None:
    """Record by record; the other records and files are not to blame, and a null fits everywhere."""
    misfits = misfits_of(typed)
    first = pa.table({name: pa.nulls(1, column) for name, (column, *_) in misfits.items()})
    table = place.table(typed.format)
    schema = await table.create(await table.infer([place.put("first", typed.write(first))]))
    files = {
        name: place.put(f"{name}", typed.write(pa.table({name: pa.array([*values, None], found)})))
        for name, (_, found, values, _, _) in misfits.items()
    }
    staged = await place.stage(table, list(files.values()), schema)
    assert {
        files[name].digest: FileRead(len(values) + 1, len(values) + 1 - bad, bad)
        for name, (_, _, values, bad, _) in misfits.items()
    } == staged.reads
    told = await place.bad_records(typed.format, list(files.values()), schema)
    assert {(name, reason) for name, (*_, reason) in misfits.items()} == {
        (list(files)[position], reason) for position, _, reason in told
    }
    assert [2, 3] == [line for position, line, _ in told if list(files)[position] == "large"]


async def test_a_file_that_is_gone_or_changed_is_told_from_one_that_is_broken(place: Place, typed: Typed) -> None:
    """The object store knows which one it is."""
    table = place.table(typed.format)
    file = place.put("a", typed.write(pa.table({"id": [1]})))
    place.put("a", typed.write(pa.table({"id": [2]})))
    with pytest.raises(SourceChanged):
        await table.infer([file])
