"""JSON documents: each object of a file is a record, wherever it stands."""

import json
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio

from libs.common.contracts.definition import Format
from libs.common.schema import Field, Struct
from services.executor.adapters.reading import wholes
from services.executor.domain.audit import FileRead
from services.executor.ports import FilesUnreadable
from tests.contract.reading.packed import PACKED
from tests.contract.reading.place import Loaded, Place
from tests.contract.table.worlds import read_of, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

MULTILINE = Format.model_validate({"type": "json", "options": {"multiline": True}})
RECORDS: list[dict[str, Any]] = [
    {"id": i, "name": f"n\u00e9 {i} }}\n{{", "price": i / 8, "tags": ["a", str(i)], "at": {"x": i, "y": None}}
    for i in range(40)
]
SHAPES = {
    "an object": (json.dumps(RECORDS[0], indent=2), RECORDS[:1]),
    "an array": (json.dumps(RECORDS), RECORDS),
    "an array over many lines": (json.dumps(RECORDS, indent=2), RECORDS),
    "one after another": ("\n".join(json.dumps(r, indent=2) for r in RECORDS), RECORDS),
    "lines": ("".join(json.dumps(r) + "\r\n" for r in RECORDS), RECORDS),
    "arrays one after another": ("\n\n".join(json.dumps([r, r], indent=1) for r in RECORDS[:5]), RECORDS[:5] * 2),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(shared_place: Place) -> Loaded:
    """Every shape in every compression, as one batch."""
    files = [
        shared_place.put(f"{n}.json{suffix}", packed(text.encode()))
        for n, (text, _) in enumerate(SHAPES.values())
        for suffix, packed in PACKED.values()
    ]
    return await shared_place.load(MULTILINE, files)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_document_is_read_as_pyarrow_reads_its_objects(matrix: Loaded, shape: str, compression: str) -> None:
    """Row for row and type for type."""
    at = list(SHAPES).index(shape) * len(PACKED) + list(PACKED).index(compression)
    objects = SHAPES[shape][1]
    assert FileRead(len(objects), len(objects)) == matrix.reads[at]
    expected = pa.Table.from_pylist(sorted(objects, key=lambda r: r["id"])).to_pylist()
    assert expected == [{name: row[name] for name in RECORDS[0]} for row in matrix.rows_of(matrix.files[at], "id")]
    assert {"id": "int64", "name": "string", "price": "double"}.items() <= matrix.types.items()


BODIES = {
    "an empty array": (b" [ ]\n", FileRead(1, 0)),
    "blanks": (b" \n\t\n", FileRead(1, 0)),
    "byte order mark": (b'\xef\xbb\xbf[{"id": 1}]', FileRead(1, 1)),
    "CRLF": (b'[\r\n{"id": 1},\r\n{"id": 2}\r\n]\r\n', FileRead(2, 2)),
    "cut short": (b'[{"id": 1}, {"id": 2', FileRead(1, 0, 1)),
    "not JSON": (b"hello", FileRead(1, 0, 1)),
    "two on one line": (b'{"id": 1} {"id": 2}', FileRead(1, 0, 1)),
    "something after its end": (b'[{"id": 1}] x', FileRead(1, 0, 1)),
    "an end too many": (b'{"id": 1}], [{"id": 2}', FileRead(1, 0, 1)),
    "scalars beside objects": (b'[{"id": 1}, 7, null, "x", [{"id": 2}]]', FileRead(5, 1, 4)),
    "a scalar": (b"7", FileRead(1, 0, 1)),
    "a value that does not fit": (b'[{"id": 1}, {"id": "x"}]', FileRead(2, 1, 1)),
    "Latin-1": (b'[{"id": 1}, {"id": 2, "name": "caf\xe9"}]', FileRead(1, 0, 1)),
    "UTF-16": ('[{"id": 1}]'.encode("utf-16"), FileRead(1, 0, 1)),
    "NUL": (b'[{"id": 1}, \0]', FileRead(1, 0, 1)),
    "a line's end in a text": (b'[{"id": 1, "name": "a\nb"}]', FileRead(1, 0, 1)),
}


async def test_every_document_is_accounted_for(place: Place) -> None:
    """A file that is no whole JSON is one bad record, and none of it is taken."""
    table = place.table(MULTILINE)
    schema = await table.create(Struct((Field("id", "bigint"), Field("name", "string"))))
    files = {name: place.put(f"{n}.json", body) for n, (name, (body, _)) in enumerate(BODIES.items())}
    staged = await stage(table, list(files.values()), schema)
    assert {name: read for name, (_, read) in BODIES.items()} == {n: read_of(staged, f) for n, f in files.items()}
    assert sum(read.rows for _, read in BODIES.values()) == staged.added_records


async def test_fields_that_are_new_are_seen_and_become_columns(place: Place) -> None:
    """Also when only the second document of a file has them."""
    loaded = await place.load(
        MULTILINE,
        [place.put("a.json", b'[{"id": 1}]')],
        [place.put("b.json", b'{"id": 2}\n{"id": 3, "more": {"x": 1}}')],
    )
    assert [None, None, {"x": 1}] == [row["more"] for row in loaded.rows("id")]


async def test_a_file_that_is_too_large_for_one_piece_is_refused_by_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is read, or, compressed, without being taken: memory is bounded, and nothing is lost in silence."""
    monkeypatch.setattr(wholes, "WHOLE_BYTES_MAX", 10_000)
    table = place.table(MULTILINE)
    schema = await table.create(Struct((Field("id", "bigint"),)))
    body = json.dumps([{"id": i} for i in range(2000)]).encode()
    small, large = place.put("small.json", b'{"id": 1}'), place.put("large.json", body)
    with pytest.raises(FilesUnreadable) as refused:
        await stage(table, [small, large], schema)
    assert {
        large.digest: f"it has {len(body):,} bytes; as one piece of text, no more than 10,000 can be read"
    } == refused.value.reasons
    packed = place.put("large.json.gz", PACKED["gzip"][1](body))
    staged = await stage(table, [small, packed], schema)
    assert [FileRead(1, 1), FileRead()] == [read_of(staged, f) for f in (small, packed)]
    assert packed.digest not in staged.empty
