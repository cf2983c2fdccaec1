"""A batch that fills a folder is read as one: what arrives is what would have come path by path."""

import gzip
import json

import pytest

from libs.common.contracts.definition import Format
from services.executor.domain.audit import FileRead
from services.executor.domain.folders import FILES_MIN
from tests.contract.reading.place import Place

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

BODIES = {
    "json": lambda n: json.dumps({"id": n}).encode() + b"\n",
    "csv": lambda n: f"id\n{n}\n".encode(),
    "text": lambda n: f"{n}\n".encode(),
}


@pytest.mark.parametrize("format_", BODIES)
async def test_of_a_folder_the_files_of_the_batch_are_read_and_no_others(place: Place, format_: str) -> None:
    """Each once, under names that want to be spelled with care; in folders below as well."""
    names = [f"in/{day}/{n:03} +%41é[{n}].{format_}" for day in ("day=1", "b") for n in range(FILES_MIN // 2)]
    files = [place.put(name, BODIES[format_](n)) for n, name in enumerate(names)]
    for name in ("in/day=1/other", "in/b/000", "in/_hidden", "in2/000"):
        place.put(f"{name}.{format_}", BODIES[format_](-1))
    assert await place.folder_of(files) is not None
    loaded = await place.load(Format.model_validate({"type": format_}), files)
    assert [FileRead(1, 1)] * len(files) == loaded.reads
    assert 0 == loaded.staged.stray_lines
    [column] = loaded.data.column_names
    assert sorted(map(str, range(FILES_MIN))) == sorted(str(row[column]) for row in loaded.rows())


async def test_a_file_whose_name_hides_its_compression_is_read_in_a_folder_too(place: Place) -> None:
    """It gets another name, and then all are read path by path."""
    bodies = [BODIES["json"](n) for n in range(FILES_MIN)]
    files = [place.put(f"in/{n:03}.json", gzip.compress(b) if n == 7 else b) for n, b in enumerate(bodies)]
    loaded = await place.load(Format(), files)
    assert [FileRead(1, 1)] * len(files) == loaded.reads
    assert list(range(FILES_MIN)) == [row["id"] for row in loaded.rows()]
