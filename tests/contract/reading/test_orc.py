"""ORC: what arrives in the table is what was written."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio

from libs.common.contracts.definition import Format
from libs.common.schema import Field, Struct
from services.executor.domain.audit import FileRead
from services.executor.ports import FilesUnreadable
from tests.contract.reading.columns import COLUMNS, ROWS, table_of, wall
from tests.contract.reading.place import Loaded, Place
from tests.contract.table.worlds import stage
from tests.support.typed_files import orc

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

ORC = Format(type="orc")
WRITABLE = [
    name
    for name in COLUMNS
    if not name.startswith(("uint", "time of", "instant")) and name not in ("dictionary", "uuid", "a.b `c` d")
]
"""What ORC has, or pyarrow can write there."""
OPTIONS: dict[str, dict[str, Any]] = {
    **{codec: {"compression": codec} for codec in ("uncompressed", "zlib", "snappy", "lz4", "zstd")},
    "version 0.11": {"file_version": "0.11"},
    "dictionaries": {"dictionary_key_size_threshold": 1.0},
    "small blocks": {"compression": "zlib", "compression_block_size": 64 * 1024, "batch_size": 1, "stripe_size": 1},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loaded(shared_place: Place) -> Loaded:
    """All of them in one batch."""
    files = [
        shared_place.put(f"{cell}.orc", orc(table_of(n * ROWS, WRITABLE), **options))
        for n, (cell, options) in enumerate(OPTIONS.items())
    ]
    return await shared_place.load(ORC, files)


@pytest.mark.parametrize("cell", OPTIONS)
def test_every_type_is_read_as_it_was_written(loaded: Loaded, cell: str) -> None:
    """Row for row and type for type, however it was written."""
    number = list(OPTIONS).index(cell)
    assert FileRead(ROWS, ROWS) == loaded.reads[number]
    written = table_of(number * ROWS, WRITABLE)
    expected = {name: list(map(COLUMNS[name].told, written[name].to_pylist())) for name in WRITABLE}
    assert expected == loaded.data.sort_by("id").slice(number * ROWS, ROWS).to_pydict()
    assert {name: COLUMNS[name].type for name in WRITABLE} == loaded.types


async def test_times_are_read_as_the_clock_showed_them(place: Place) -> None:
    """Also those that some zone skips, or has twice; before there were zones; and what is finer than a table keeps is a
    bad record."""
    old = [wall(1, 1, 1), wall(1883, 11, 18, 12, 3, 58), wall(1969, 12, 31, 23, 59, 59, 999_999), wall(1970, 1, 1)]
    times = [*old, wall(2024, 3, 31, 2, 30), wall(2024, 10, 27, 2, 30), wall(9999, 12, 31, 23, 59, 59, 999_999), None]
    days = [dt.date(1, 1, 1), dt.date(1582, 10, 4), dt.date(1582, 10, 15), *[dt.date(2024, 2, 29)] * 5]
    exact = pa.table({"id": range(8), "t": pa.array(times, pa.timestamp("us")), "d": pa.array(days)})
    finer = pa.table({"id": [8, 9], "t": pa.array([1_000, 1_001], pa.timestamp("ns")), "d": pa.array(days[:2])})
    loaded = await place.load(ORC, [place.put("exact.orc", orc(exact)), place.put("finer.orc", orc(finer))])
    assert [FileRead(8, 8), FileRead(2, 1, 1)] == loaded.reads
    assert [*times, wall(1970, 1, 1, 0, 0, 0, 1)] == [row["t"] for row in loaded.rows("id")]
    assert days == [row["d"] for row in loaded.rows("id")][:8]


async def test_what_spark_wrote_is_read_as_spark_means_it(place: Place) -> None:
    """Times without a zone, which it writes as numbers, and dates before its calendar began."""
    at = "2024-10-27 02:30:00.123456"
    file = place.written_by_spark(
        f"SELECT timestamp_ntz'{at}' AS ntz, date'1582-10-04' AS d, array(timestamp_ntz'{at}') AS l", "orc"
    )
    loaded = await place.load(ORC, [file])
    told = dt.datetime.fromisoformat(at)
    assert [{"ntz": told, "d": dt.date(1582, 10, 4), "l": [told]}] == loaded.rows()


async def test_columns_named_by_their_places_are_found_by_them(place: Place) -> None:
    """As old versions of Hive name them; also if the table has not all of them."""
    table = place.table(ORC)
    schema = await table.create(Struct((Field("_col1", "string"),)))
    file = place.put("a.orc", orc(pa.table({"_col0": [1], "_col1": ["a"]})))
    staged = await stage(table, [file], schema)
    await table.publish(staged.snapshot_id)
    assert [("a",)] == await place.found(table)


NONE = "it is no ORC file, or not a whole one: it"
WHOLE = orc(pa.table({"id": range(1000), "t": [f"text {n}" for n in range(1000)]}), compression="zlib")


async def test_files_that_are_no_orc_are_named_all_at_once(place: Place) -> None:
    """By what their bytes look like, or by what Spark cannot read. The others load without them."""
    good = place.put("good.orc", WHOLE)
    zoned = pa.table({"id": [1], "at": pa.array([[0]], pa.list_(pa.timestamp("us", "UTC")))})
    either = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["a"])])
    bad = {
        place.put("cut.orc", WHOLE[:-100]): f"{NONE} looks like ORC",
        place.put("half.orc", WHOLE[: len(WHOLE) // 2]): f"{NONE} looks like ORC",
        place.put("tail.orc", WHOLE[-100:]): "its tail says of its footer what cannot be",
        place.put("csv.orc", b"id,name\n1,a\n"): f"{NONE} looks like text",
        place.put("json.orc", b'{"id": 1}\n'): f"{NONE} looks like JSON",
        place.put("nothing.orc", b""): f"{NONE} has no bytes",
        place.put("spoilt.orc", WHOLE[:-60] + b"\xff" * 20 + WHOLE[-40:]): "its footer cannot be read",
        place.put("zone.orc", orc(zoned)): "its column 'item' is a timestamp with local time zone",
        place.put("union.orc", orc(pa.table({"u": either}))): "its column 'u' is a union",
        place.put("tick.orc", orc(pa.table({"s": [{"a`b": 1}]}))): "its column 'a`b' has a backtick",
    }
    table = place.table(ORC)
    with pytest.raises(FilesUnreadable) as told:
        await table.infer([*bad, good])
    reasons = told.value.reasons
    assert {f.digest for f in bad} == set(reasons), [f.key for f in bad if f.digest not in reasons]
    assert [True] * len(bad) == [reasons[f.digest].startswith(why) for f, why in bad.items()], reasons


async def test_files_that_are_spoilt_inside_are_named(place: Place) -> None:
    """Their tails are whole, so only reading them tells."""
    table = pa.table({"id": range(1000), "t": [f"text {n}" for n in range(1000)]})
    good = place.put("good.orc", WHOLE)
    wholes = {codec: orc(table, compression=codec) for codec in ("zlib", "snappy", "zstd")}
    bad = [place.put(f"{codec}.orc", body[:100] + b"\xff" * 300 + body[400:]) for codec, body in wholes.items()]
    into = place.table(ORC)
    schema = await into.create(await into.infer([good]))
    with pytest.raises(FilesUnreadable) as told:
        await place.stage(into, [good, *bad], schema)
    named = {f.key: told.value.reasons.get(f.digest, "") for f in bad}
    assert all(named.values()), named


async def test_a_file_with_no_rows_is_known_to_be_empty(place: Place) -> None:
    """It still shows the columns, if it has some. A tail may be long."""
    wide = orc(pa.table({f"column {n} {'x' * 200}": pa.array([1]) for n in range(400)}))
    none = [orc(pa.table({"id": pa.array([], pa.int64())})), orc(pa.table({}))]
    files = [place.put(f"{n}.orc", body) for n, body in enumerate([*none, wide])]
    loaded = await place.load(ORC, files)
    assert frozenset(f.digest for f in files[:2]) == loaded.staged.empty
    assert (1, 401) == (loaded.data.num_rows, loaded.data.num_columns)
