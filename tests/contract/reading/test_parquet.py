"""Parquet: what arrives in the table is what pyarrow reads from the same bytes."""

import datetime as dt
import decimal
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from libs.common.contracts.definition import Format
from services.executor.domain.audit import FileRead
from services.executor.ports import FilesUnreadable, SourceChanged
from tests.contract.reading.columns import COLUMNS, ROWS, table_of, wall
from tests.contract.reading.place import Loaded, Place

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

PARQUET = Format(type="parquet")


NONE = "it is no Parquet file, or not a whole one: it"


def parquet(table: pa.Table, **options: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, **options)
    return written.getvalue()


def read_back(body: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(body))


OPTIONS: dict[str, dict[str, Any]] = {
    **{codec: {"compression": codec} for codec in ("none", "snappy", "gzip", "zstd", "lz4")},
    "no dictionary": {"use_dictionary": False},
    "pages of version 2": {"data_page_version": "2.0"},
    "a group per row": {"row_group_size": 1},
    "delta encoding": {
        "use_dictionary": False,
        "column_encoding": {"int64": "DELTA_BINARY_PACKED", "string": "DELTA_BYTE_ARRAY"},
    },
    "no Arrow schema": {"store_schema": False},
    "times of version 1": {"version": "1.0", "coerce_timestamps": "ms", "allow_truncated_timestamps": True},
}


BODIES = {cell: parquet(table_of(n * ROWS), **options) for n, (cell, options) in enumerate(OPTIONS.items())}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loaded(shared_place: Place) -> Loaded:
    """All of them in one batch."""
    files = [shared_place.put(f"{cell}.parquet", body) for cell, body in BODIES.items()]
    return await shared_place.load(PARQUET, files)


@pytest.mark.parametrize("cell", OPTIONS)
def test_every_type_is_read_as_pyarrow_reads_it(loaded: Loaded, cell: str) -> None:
    """Row for row and type for type, however it was written."""
    number = list(OPTIONS).index(cell)
    assert FileRead(ROWS, ROWS) == loaded.reads[number]
    found = read_back(BODIES[cell])
    expected = {name: list(map(COLUMNS[name].told, found[name].to_pylist())) for name in COLUMNS}
    assert expected == loaded.data.sort_by("id").slice(number * ROWS, ROWS).to_pydict()
    assert {name: column.type for name, column in COLUMNS.items()} == loaded.types


async def test_compressions_are_mixed_in_one_batch(place: Place) -> None:
    """Each file as its footer says."""
    table = pa.table({"id": range(100)})
    files = [place.put(f"{codec}.parquet", parquet(table, compression=codec)) for codec in ("none", "gzip", "zstd")]
    loaded = await place.load(PARQUET, files)
    assert [FileRead(100, 100)] * 3 == loaded.reads
    assert 300 == loaded.table.num_rows


async def test_times_of_96_bits_are_instants(place: Place) -> None:
    """As old writers of Spark, Hive and Impala have them."""
    times = [wall(2020, 1, 1, 12), wall(1000, 1, 1), None]
    table = pa.table({"t": pa.array(times, pa.timestamp("us"))})
    loaded = await place.load(PARQUET, [place.put("a.parquet", parquet(table, use_deprecated_int96_timestamps=True))])
    assert [t and t.replace(tzinfo=dt.UTC) for t in times[1::-1]] == loaded.table["t"].drop_null().sort().to_pylist()


NARROWER: dict[str, tuple[pa.DataType, pa.DataType, Any]] = {
    "bigint of int": (pa.int64(), pa.int32(), -(2**31)),
    "double of float": (pa.float64(), pa.float32(), 0.5),
    "double of int": (pa.float64(), pa.int32(), 2**31 - 1),
    "double of bigint": (pa.float64(), pa.int64(), 2**53),
    "decimal of fewer digits": (pa.decimal128(20, 2), pa.decimal128(10, 2), decimal.Decimal("1.23")),
    "decimal of fewer decimals": (pa.decimal128(20, 2), pa.decimal128(10, 1), decimal.Decimal("1.2")),
    "decimal of int": (pa.decimal128(20, 2), pa.int32(), 7),
    "text of bigint": (pa.string(), pa.int64(), 7),
    "text of date": (pa.string(), pa.date32(), dt.date(2020, 2, 29)),
    "microseconds of nanoseconds": (pa.timestamp("us"), pa.timestamp("ns"), wall(2020, 1, 1)),
}


async def test_a_narrower_type_goes_into_a_wider_column(place: Place) -> None:
    """From an older file, without a loss; the wider one came first, so the column is there."""
    first = pa.table({name: pa.nulls(1, column) for name, (column, _, _) in NARROWER.items()})
    older = pa.table({name: pa.array([value], found) for name, (_, found, value) in NARROWER.items()})
    loaded = await place.load(
        PARQUET, [place.put("a.parquet", parquet(first))], [place.put("b.parquet", parquet(older))]
    )
    assert [FileRead(1, 1)] == loaded.reads
    expected = {
        name: [str(value) if column == pa.string() else older[name].cast(column)[0].as_py()]
        for name, (column, _, value) in NARROWER.items()
    }
    assert expected == {name: loaded.table[name].drop_null().to_pylist() for name in NARROWER}


async def test_the_first_batch_makes_columns_that_all_of_it_fits_into(place: Place) -> None:
    """Whichever file is first."""
    files = [
        place.put("a.parquet", parquet(pa.table({"id": pa.array([1], pa.int32()), "x": [1]}))),
        place.put("b.parquet", parquet(pa.table({"y": ["new"], "x": [1.5], "id": pa.array([2], pa.int64())}))),
    ]
    loaded = await place.load(PARQUET, files)
    assert [{"id": 1, "x": 1.0, "y": None}, {"id": 2, "x": 1.5, "y": "new"}] == loaded.rows("id")
    assert {"id": "int64", "x": "double", "y": "string"} == loaded.types


async def test_columns_come_and_go_and_change_their_places(place: Place) -> None:
    """Missing ones are null, new ones are added, also inside structs and lists; case makes no difference."""
    old = pa.table({"id": [1], "s": [{"a": 1}], "l": [[{"a": 1}]], "gone": ["x"]})
    new = pa.table({"new": [0.5], "l": [[{"b": 2}, {"A": 3, "b": 4}]], "s": [{"b": True, "A": 2}], "ID": [2]})
    loaded = await place.load(PARQUET, [place.put("a.parquet", parquet(old))], [place.put("b.parquet", parquet(new))])
    assert [FileRead(1, 1)] == loaded.reads
    assert [
        {"id": 1, "s": {"a": 1, "b": None}, "l": [{"a": 1, "b": None}], "gone": "x", "new": None},
        {"id": 2, "s": {"a": 2, "b": True}, "l": [{"a": None, "b": 2}, {"a": 3, "b": 4}], "gone": None, "new": 0.5},
    ] == loaded.rows("id")


async def test_a_file_without_a_column_of_the_table_is_rows_of_nulls(place: Place) -> None:
    """They are counted all the same."""
    first = place.put("a.parquet", parquet(pa.table({"id": [1]})))
    nulls = place.put("b.parquet", parquet(pa.table({"id": pa.nulls(3)})))
    loaded = await place.load(PARQUET, [first], [nulls])
    assert [FileRead(3, 3)] == loaded.reads
    assert 4 == loaded.table.num_rows


async def test_a_file_with_no_rows_is_known_to_be_empty(place: Place) -> None:
    """It has a footer; and it still shows the columns."""
    files = [place.put("none.parquet", parquet(pa.table({"id": pa.array([], pa.int64())})))]
    loaded = await place.load(PARQUET, files)
    assert frozenset({files[0].digest}) == loaded.staged.empty
    assert (0, {"id": "int64"}) == (loaded.table.num_rows, loaded.types)


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


async def test_what_a_column_cannot_hold_is_named(place: Place) -> None:
    """Record by record; the other records and files are not to blame, and a null fits everywhere."""
    first = pa.table({name: pa.nulls(1, column) for name, (column, *_) in MISFITS.items()})
    table = place.table(PARQUET)
    schema = await table.create(await table.infer([place.put("first.parquet", parquet(first))]))
    files = {
        name: place.put(f"{name}.parquet", parquet(pa.table({name: pa.array([*values, None], found)})))
        for name, (_, found, values, _, _) in MISFITS.items()
    }
    staged = await place.stage(table, list(files.values()), schema)
    assert {
        files[name].digest: FileRead(len(values) + 1, len(values) + 1 - bad, bad)
        for name, (_, _, values, bad, _) in MISFITS.items()
    } == staged.reads
    told = await place.bad_records(PARQUET, list(files.values()), schema)
    assert {(name, reason) for name, (*_, reason) in MISFITS.items()} == {
        (list(files)[position], reason) for position, _, reason in told
    }
    assert [2, 3] == [line for position, line, _ in told if list(files)[position] == "large"]


async def test_files_that_are_no_parquet_are_named_all_at_once(place: Place) -> None:
    """By what their bytes look like; those of a type that no table has, too. The others load without them."""
    whole = parquet(pa.table({"id": range(1000)}))
    good = place.put("good.parquet", whole)
    bad = {
        place.put("no footer.parquet", whole[: len(whole) // 2]): f"{NONE} looks like Parquet",
        place.put("no head.parquet", b"PAR1"): "its footer",
        place.put("csv.parquet", b"id,name\n1,a\n"): f"{NONE} looks like text",
        place.put("json.parquet", b'{"id": 1}\n'): f"{NONE} looks like JSON",
        place.put("nothing.parquet", b""): f"{NONE} has no bytes",
        place.put("spoilt.parquet", whole[:-200] + b"\xff" * 192 + whole[-8:]): "its footer cannot be read",
        place.put("br.parquet", parquet(pa.table({"id": [1]}), compression="brotli")): "it is compressed with brotli",
    }
    table = place.table(PARQUET)
    schema = await table.create(await table.infer([good]))
    for read in (lambda: place.stage(table, [good, *bad], schema), lambda: table.infer([*bad, good])):
        with pytest.raises(FilesUnreadable) as told:
            await read()
        assert {f.digest for f in bad} == set(told.value.reasons)
        assert [True] * len(bad) == [told.value.reasons[f.digest].startswith(why) for f, why in bad.items()], told.value
    assert 1000 == (await place.stage(table, [good], schema)).added_records


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (pa.table({"id": pa.array([1.0], pa.float16())}), "its column 'id' is of type float16, which no table"),
        (
            pa.table({"id": pa.array([decimal.Decimal(1)], pa.decimal256(50))}),
            "its column 'id' is of type decimal(50,0)",
        ),
        (pa.table([[1], [2]], ["id", "id"]), "two of its columns are named 'id'"),
        (pa.table({"id": [1], "_metadata": [1]}), "its column '_metadata' has a name that Spark keeps"),
    ],
)
async def test_a_file_that_no_table_can_hold_is_named(place: Place, found: pa.Table, reason: str) -> None:
    """With the column, whether it comes first or later."""
    good, bad = place.put("good.parquet", parquet(pa.table({"id": [1]}))), place.put("bad.parquet", parquet(found))
    table = place.table(PARQUET)
    schema = await table.create(await table.infer([good]))
    for read in (lambda: place.stage(table, [good, bad], schema), lambda: table.infer([good, bad])):
        with pytest.raises(FilesUnreadable) as told:
            await read()
        assert {bad.digest} == set(told.value.reasons)
        assert told.value.reasons[bad.digest].startswith(reason)


async def test_a_file_that_is_spoilt_inside_is_named(place: Place) -> None:
    """Its footer is whole, so only reading it tells."""
    whole = parquet(pa.table({"id": range(1000), "t": [f"text {i}" for i in range(1000)]}), use_dictionary=False)
    good = place.put("good.parquet", whole)
    spoilt = place.put("spoilt.parquet", whole[:100] + b"\xff" * 500 + whole[600:])
    table = place.table(PARQUET)
    schema = await table.create(await table.infer([good]))
    with pytest.raises(FilesUnreadable) as told:
        await place.stage(table, [good, spoilt], schema)
    assert {spoilt.digest} == set(told.value.reasons)


async def test_a_file_that_is_gone_or_changed_is_told_from_one_that_is_broken(place: Place) -> None:
    """The object store knows which one it is."""
    table = place.table(PARQUET)
    file = place.put("a.parquet", parquet(pa.table({"id": [1]})))
    place.put("a.parquet", parquet(pa.table({"id": [2]})))
    with pytest.raises(SourceChanged):
        await table.infer([file])
