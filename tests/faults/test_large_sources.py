"""Sources of a size that takes minutes (F46): loaded whole and once, while the services' own memory stays flat.

They are not among the other cases: ``make faults LARGE=1``.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.cases import BUCKET
from tests.faults.landing import Landing, landing
from tests.faults.tally import Faults
from tests.support.installation import Installation, installation
from tests.support.memory import Growth, growth

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

MB = 1024**2
GROWTH_MAX_BYTES = 64 * MB
"""A listing's page, a batch and a few buffers; not the source."""
FILE_BYTES = 2 * 1024**3
ROW_BYTES = 1024
PART_ROWS = 64 * 1024
FILES = 100_000
WITHIN_S = 1_800.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        await asyncio.gather(started.start("scanner"), started.start("executor"))
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def files(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    """A table that is there already, with services that have loaded a file into it."""
    async with landing(autoloader, spark, faults) as place:
        await place.put_rows("first.json", 10**9, 20)
        await place.run("success")
        yield place


async def load(files: Landing) -> Growth:
    """A run of everything that landed, then the oracle. Returns how the services grew meanwhile."""
    files.faults.inject()
    async with growth({s.name: s.process.pid for s in files.autoloader.running}) as seen:
        run = await files.end_of(await files.begin(), within_s=WITHIN_S)
    assert "success" == run["status"], files.story_of(run)
    await files.check()
    return seen


def grown_too_much(seen: Growth) -> dict[str, int]:
    return {name: seen.of(name) // MB for name in seen.first_bytes if seen.of(name) > GROWTH_MAX_BYTES}


@pytest.mark.fault("F46", "a file of 2 GB", large=True)
async def test_a_file_of_two_gigabytes(files: Landing) -> None:
    """Two million rows in one object (F46)."""
    rows = range(FILE_BYTES // ROW_BYTES)
    await asyncio.to_thread(upload, files, "large.json", rows)
    assert {} == grown_too_much(await load(files))


@pytest.mark.fault("F46", "100,000 files of a row each", large=True)
async def test_a_hundred_thousand_tiny_files(files: Landing) -> None:
    """A hundred batches and more, in one run (F46)."""
    rows = range(FILES)
    await files.put_many({f"{i % 100:02}/{i}.json": row(i, 40) for i in rows})
    files.ids.update(rows)
    assert {} == grown_too_much(await load(files))


def upload(files: Landing, name: str, rows: range) -> None:
    """One object of so many rows, in parts, as its producer would send it."""
    key = f"{files.name}/{name}"
    where = {"Bucket": BUCKET, "Key": key}
    upload_id = files.s3.create_multipart_upload(**where)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": files.s3.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(_parts(rows), start=1)
    ]
    files.s3.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": parts})
    files.keys.add(key)
    files.ids.update(rows)


def _parts(rows: range) -> Iterator[bytes]:
    for at in range(0, len(rows), PART_ROWS):
        yield b"".join(row(i, ROW_BYTES) for i in rows[at : at + PART_ROWS])


def row(number: int, size_bytes: int) -> bytes:
    """A line of about that length."""
    head = b'{"id": %d, "text": "' % number
    return head + b"x" * (size_bytes - len(head) - 3) + b'"}\n'
