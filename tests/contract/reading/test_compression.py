"""Names that lie about compression: what a file is shows in its bytes, or is said in the definition."""

from typing import Any

import pytest

from libs.common.contracts.definition import Format
from services.executor.domain.audit import FileRead
from services.executor.ports import FilesUnreadable
from tests.contract.reading.packed import PACKED
from tests.contract.reading.place import Place
from tests.contract.table.worlds import stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

ROWS = 300
BODIES = {
    "json": "".join(f'{{"id": {i}, "text": "row {i}"}}\n' for i in range(ROWS)).encode(),
    "documents": ("[" + ",\n".join(f'{{"id": {i}, "text": "row {i}"}}' for i in range(ROWS)) + "]").encode(),
    "csv": b"id,text\n" + "".join(f"{i},row {i}\n" for i in range(ROWS)).encode(),
    "text": "".join(f"row {i}\n" for i in range(ROWS)).encode(),
}
BY_CONTENT = ["none", "gzip", "bzip2", "zstd"]
WRONG = {"none": ".gz", "gzip": "", "bzip2": ".gz", "zstd": ".bz2", "deflate": ""}


def format_of(kind: str, **options: Any) -> Format:
    if kind == "documents":
        return Format.model_validate({"type": "json", "options": {"multiline": True, **options}})
    return Format.model_validate({"type": kind, "options": options})


@pytest.mark.parametrize("kind", BODIES)
async def test_files_are_read_as_what_they_are(place: Place, kind: str) -> None:
    """Misnamed ones beside one that is not, in the first batch and in a later one; each row says its file's name."""
    bodies = {name: PACKED[name][1](BODIES[kind]) for name in BY_CONTENT}
    files = [place.put(f"wrong #{name} é.x{WRONG[name]}", body) for name, body in bodies.items()]
    later = [place.put(f"later {name}.x{WRONG[name]}", body) for name, body in bodies.items()]
    right = place.put("right.x.gz", bodies["gzip"])
    loaded = await place.load(format_of(kind), [right, *files], later)
    assert [FileRead(ROWS, ROWS)] * len(later) == loaded.reads
    for file in (right, *files, *later):
        assert ROWS == len(loaded.rows_of(file)), file.key


@pytest.mark.parametrize("compression", WRONG)
@pytest.mark.parametrize("kind", BODIES)
async def test_a_definition_says_what_all_files_are(place: Place, kind: str, compression: str) -> None:
    """Whatever their names are."""
    body = PACKED[compression][1](BODIES[kind])
    files = [place.put("a.x", body), place.put(f"b{PACKED[compression][0]}", body), place.put("c.zst", body)]
    loaded = await place.load(format_of(kind, compression=compression), files)
    assert [FileRead(ROWS, ROWS)] * 3 == loaded.reads


@pytest.mark.parametrize("kind", BODIES)
async def test_an_archive_that_breaks_off_is_named_alone(place: Place, kind: str) -> None:
    """Also under a name that lies; snappy's framing format is told apart, with what to write instead."""
    table = place.table(format_of(kind))
    good = place.put("good.x", BODIES[kind])
    schema = await table.create(await table.infer([good]))
    packed = PACKED["gzip"][1](BODIES[kind] * 50)
    broken = [place.put("broken.x.gz", packed[: len(packed) // 2]), place.put("broken.x", packed[: len(packed) // 2])]
    for file in broken:
        with pytest.raises(FilesUnreadable) as refused:
            await stage(table, [good, file], schema)
        assert [file.digest] == list(refused.value.reasons)
    framed = place.put("framed.x", b"\xff\x06\x00\x00sNaPpY" + BODIES[kind])
    with pytest.raises(FilesUnreadable) as refused:
        await stage(table, [good, framed], schema)
    assert "snappy's framing format" in refused.value.reasons[framed.digest]
