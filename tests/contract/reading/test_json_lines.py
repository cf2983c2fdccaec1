"""JSON, an object per line: what arrives in the table is what pyarrow reads from the same bytes."""

import io
import json

import pyarrow.json
import pytest

from libs.common.contracts.definition import Format
from libs.common.schema import Field, Struct
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import with_provenance
from tests.contract.reading.packed import PACKED
from tests.contract.reading.place import Place
from tests.contract.table.worlds import stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

BODY = "".join(
    json.dumps({"id": i, "name": f"n\u00e9 {i}", "price": i / 4, "ok": [None, True][i % 2], "tags": ["a", f"{i}"]})
    + "\n"
    for i in range(200)
).encode()


@pytest.mark.parametrize("compression", PACKED)
async def test_lines_are_read_as_pyarrow_reads_them(place: Place, compression: str) -> None:
    """Row for row and type for type, whatever the files are compressed with."""
    suffix, packed = PACKED[compression]
    loaded = await place.load(Format(), [place.put(f"a.json{suffix}", packed(BODY))])
    expected = pyarrow.json.read_json(io.BytesIO(BODY))
    assert [FileRead(200, 200)] == loaded.reads
    assert expected.to_pylist() == loaded.rows("id")
    assert {"id": "int64", "name": "string", "price": "double", "ok": "bool"}.items() <= loaded.types.items()


async def test_compressions_are_mixed_in_one_batch(place: Place) -> None:
    """Each file as its name says."""
    files = [place.put(f"{name}.json{suffix}", packed(BODY)) for name, (suffix, packed) in PACKED.items()]
    loaded = await place.load(Format(), files)
    assert [FileRead(200, 200)] * len(files) == loaded.reads
    assert 200 * len(files) == loaded.table.num_rows


@pytest.mark.parametrize("multiline", [False, True])
async def test_of_a_key_twice_in_one_object_the_last_value_counts(place: Place, *, multiline: bool) -> None:
    """At every depth, in a column that holds whatever was seen under the name; a good file beside it is no matter."""
    twice = b'{"id": 1, "id": 2, "n": 1, "n": 2.5, "t": 1, "t": "a", "o": {"x": 1, "x": 3}, "l": [{"y": 1, "y": 2}]}\n'
    files = [place.put("twice.json", twice), place.put("once.json", b'{"id": 3, "n": 1, "o": {"x": 4}}\n')]
    loaded = await place.load(Format.model_validate({"type": "json", "options": {"multiline": multiline}}), files)
    assert [FileRead(1, 1), FileRead(1, 1)] == loaded.reads
    assert [
        {"id": 2, "l": [{"y": 2}], "n": 2.5, "o": {"x": 3}, "t": "a"},
        {"id": 3, "l": None, "n": 1.0, "o": {"x": 4}, "t": None},
    ] == loaded.rows("id")


async def test_what_is_rescued_of_an_object_with_a_key_twice_is_all_there(place: Place) -> None:
    """Also where the object within has one twice, as Spark's variants refuse it."""
    file = place.put("a.json", b'{"id": 1, "id": 2, "new": {"x": 1, "x": 3}, "more": 5}\n')
    table = place.table(Format())
    columns = with_provenance(Struct((Field("id", "bigint"),)), (), "_rescued_data")
    staged = await stage(table, [file], await table.create(columns))
    await table.publish(staged.snapshot_id)
    [row] = await place.rows(table, "id")
    kept = json.loads(row["_rescued_data"])
    assert (2, {"x": 3}, 5) == (row["id"], kept["new"], kept["more"])
