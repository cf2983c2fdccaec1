"""CSV files and JSON documents as no producer should write them (F44–F46): each is loaded whole and once, or set aside
by name with a reason; the good file beside it always loads."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.landing import Landing, landing
from tests.faults.tally import Faults
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

CSV = {"type": "csv"}
DOCUMENTS = {"type": "json", "options": {"multiline": True}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        await asyncio.gather(started.start("scanner"), started.start("executor"))
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def files(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    async with landing(autoloader, spark, faults) as place:
        yield place


def csv(*rows: str) -> bytes:
    return "".join(f"{row}\n" for row in ("id,text", *rows)).encode()


async def load(files: Landing, format_: dict[str, Any], refused: list[str]) -> dict[str, Any]:
    """A run that sets exactly these aside, by address; then the oracle, and a run with nothing left to do."""
    await files.create(format_=format_)
    files.faults.inject(len(files.keys) - 1)  # the good one is no fault
    run = await files.run("partial" if refused else "success")
    assert sorted(refused) == sorted(error["file"] for error in run["errors"]), files.story_of(run)
    assert all(error["message"] for error in run["errors"])
    assert len(files.ids) == run["metrics"]["records_ingested"]
    await files.check()
    again = await files.run("success")
    assert 0 == again["metrics"]["files_processed"]
    return run


@pytest.mark.fault("F44", "CSV that is ragged, broken off or named otherwise")
async def test_csv_that_is_broken_is_set_aside(files: Landing) -> None:
    """Ragged rows, half an archive, a column named twice, an archive that Spark has no codec for (F44)."""
    await files.put("good.csv", csv("1,a", "2,b"), [1, 2])
    packed = gzip.compress(csv(*(f"{i},{'x' * 50}" for i in range(100, 400))))
    await files.put("packed.csv", packed, range(100, 400))
    await files.put("plain.csv.gz", csv("3,c"), [3])
    refused = [
        await files.put("ragged.csv", csv("4,d", "5", "6,f,x")),
        await files.put("broken_off.csv.gz", packed[: len(packed) // 2]),
        await files.put("twice.csv", b"id,id\n1,2\n"),
        await files.put("framed.csv", b"\xff\x06\x00\x00sNaPpY" + b"x" * 100),
        await files.put("open.csv", csv('7,"g', "8,h")),
    ]
    await load(files, CSV, refused)


@pytest.mark.fault("F44", "CSV in an archive that grows two hundredfold (40 MB, scaled down)")
async def test_an_archive_that_grows_a_thousandfold(files: Landing) -> None:
    """40 MB of rows in 200 KB, read line by line (F44, scaled down)."""
    ids = range(10_000, 50_000)
    await files.put("good.csv", csv("1,a"), [1])
    await files.put("bomb.csv.gz", gzip.compress(csv(*(f"{i},{'0' * 1000}" for i in ids))), ids)
    await load(files, CSV, [])


@pytest.mark.fault("F44", "a document that grows beyond memory")
async def test_a_document_that_grows_beyond_memory_is_set_aside(files: Landing) -> None:
    """140 MB of zeros in 140 KB (F44): never taken, and never silent."""
    await files.put("good.json", b'[{"id": 1, "text": "a"}]', [1])
    refused = [
        await files.put("bomb.json.gz", gzip.compress(b'[{"id": 2, "text": "' + b"0" * 140_000_000 + b'"}]')),
        await files.put("cut.json", b'[{"id": 3, "text": "c"}, {"id": 4'),
        await files.put("two.json", b'{"id": 5} {"id": 6}'),
    ]
    await load(files, DOCUMENTS, refused)


@pytest.mark.fault("F45", "CSV: empty, marks, encodings, NUL, line ends")
async def test_csv_of_odd_bytes(files: Landing) -> None:
    """What has no row is no error; what is no UTF-8 is set aside; the mark is no part of a name (F45)."""
    await files.put("good.csv", csv("1,a"), [1])
    await files.put("bom.csv", b"\xef\xbb\xbf" + csv("2,b"), [2])
    await files.put("crlf.csv", b"id,text\r\n3,c\r\n4,d", [3, 4])
    for name, body in {"empty": b"", "newline": b"\n", "header": b"id,text\n", "blank": b"\n \t\r\n"}.items():
        await files.put(f"{name}.csv", body)
    refused = [
        await files.put("utf16.csv", csv("5,e").decode().encode("utf-16")),
        await files.put("latin1.csv", "id,text\n6,\u00e9\n".encode("latin-1")),
        await files.put("nul.csv", csv("7,a\0b")),
    ]
    await load(files, CSV, refused)
    assert ["id", "text"] == (await asyncio.to_thread(files.spark.table, files.table)).columns


@pytest.mark.fault("F46", "documents: nesting, width, length")
async def test_documents_of_odd_sizes(files: Landing) -> None:
    """A text of 10 MB, 2,000 columns, an array in 20 arrays (F46)."""
    await files.put("good.json", b'[{"id": 1, "text": "a"}]', [1])
    await files.put("long.json", json.dumps({"id": 2, "text": "x" * 10_000_000}).encode(), [2])
    await files.put("wide.json", json.dumps([{"id": 3, **{f"c{i}": i for i in range(2_000)}}], indent=1).encode(), [3])
    await files.put("deep.json", b'{"id": 4, "deep": ' + b"[" * 20 + b"1" + b"]" * 20 + b"}", [4])
    await load(files, DOCUMENTS, [])


@pytest.mark.fault("F46", "CSV of 2,000 columns")
async def test_csv_of_many_columns(files: Landing) -> None:
    """Numbers, so that each of them is converted (F46)."""
    names = [f"c{i}" for i in range(2_000)]
    rows = [",".join(map(str, (i, *range(2_000)))) for i in range(3)]
    await files.put("wide.csv", "\n".join([",".join(["id", *names]), *rows, ""]).encode(), range(3))
    await load(files, CSV, [])
