"""JSON, an object per line: what arrives in the table is what pyarrow reads from the same bytes."""

import io
import json

import pyarrow.json
import pytest

from libs.common.contracts.definition import Format
from services.executor.domain.audit import FileRead
from tests.contract.reading.packed import PACKED
from tests.contract.reading.place import Place

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
