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
from services.executor.ports import FilesUnreadable
from tests.contract.reading.columns import COLUMNS, ROWS, table_of, wall
from tests.contract.reading.place import Loaded, Place
from tests.support.typed_files import parquet

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

PARQUET = Format(type="parquet")


NONE = "it is no Parquet file, or not a whole one: it"


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


async def test_the_first_batch_makes_columns_that_all_of_it_fits_into(place: Place) -> None:
    """Whichever file is first."""
    files = [
        place.put("a.parquet", parquet(pa.table({"id": pa.array([1], pa.int32()), "x": [1]}))),
        place.put("b.parquet", parquet(pa.table({"y": ["new"], "x": [1.5], "id": pa.array([2], pa.int64())}))),
    ]
    loaded = await place.load(PARQUET, files)
    assert [{"id": 1, "x": 1.0, "y": None}, {"id": 2, "x": 1.5, "y": "new"}] == loaded.rows("id")
    assert {"id": "int64", "x": "double", "y": "string"} == loaded.types


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
