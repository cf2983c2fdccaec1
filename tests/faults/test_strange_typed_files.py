"""Files that bring their own types, as no producer should write them (F44, F46): each is loaded whole and once, or set
aside by name with a reason; the good file beside it always loads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import pyarrow as pa
import pytest
import pytest_asyncio

from tests.faults.landing import Landing, landing
from tests.faults.tally import Faults
from tests.support.installation import Installation, installation
from tests.support.typed_files import avro_of, orc, parquet

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

ROWS = 1000
PACKED: Final[Mapping[str, Callable[[pa.Table], bytes]]] = {
    "parquet": lambda rows: parquet(rows, compression="zstd", use_dictionary=False),
    "avro": lambda rows: avro_of(rows, "snappy"),
    "orc": lambda rows: orc(rows, compression="zlib"),
}
"""With a codec that notices when it is given other bytes."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        await asyncio.gather(started.start("scanner"), started.start("executor"))
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def files(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    async with landing(autoloader, spark, faults) as place:
        yield place


def table(first_id: int, **columns: Any) -> pa.Table:
    ids = range(first_id, first_id + ROWS)
    return pa.table({"id": ids, "text": [f"text {i}" for i in ids], **columns})


def nested(depth: int) -> Any:
    """A struct in a struct, and so on."""
    return {"d": nested(depth - 1)} if depth else 1


async def load(files: Landing, format_: str, refused: list[str]) -> None:
    """A run that sets exactly these aside, by address; then the oracle, and a run with nothing left to do."""
    await files.create(format_={"type": format_})
    files.faults.inject(len(files.keys) - 1)  # the good one is no fault
    run = await files.run("partial" if refused else "success")
    assert sorted(refused) == sorted(error["file"] for error in run["errors"]), files.story_of(run)
    assert all(error["message"] for error in run["errors"])
    assert len(files.ids) == run["metrics"]["records_ingested"]
    await files.check()
    assert 0 == (await files.run("success"))["metrics"]["files_processed"]


@pytest.mark.fault("F44", "Parquet, Avro and ORC that break off, are spoilt inside, or are something else")
@pytest.mark.parametrize("format_", PACKED)
async def test_files_that_are_not_whole_are_set_aside(files: Landing, format_: str) -> None:
    """Half of one, all but its end, its end alone; other bytes inside; text under its name; nothing (F44)."""
    whole = PACKED[format_]
    await files.put(f"good.{format_}", whole(table(0)), range(ROWS))
    body = whole(table(5 * ROWS))
    middle = len(body) // 2
    bodies = {
        "half": body[:middle],
        "all_but_its_end": body[:-10],
        "end": body[middle:],
        "spoilt": body[: middle - 200] + b"\xff" * 400 + body[middle + 200 :],
        "text": b'{"id": 1}\n',
        "nothing": b"",
    }
    await load(files, format_, [await files.put(f"{name}.{format_}", bad) for name, bad in bodies.items()])


@pytest.mark.fault("F44", "Avro with another mark behind a block")
async def test_avro_with_another_mark_is_set_aside(files: Landing) -> None:
    """In the middle, where its header and its end do not show it (F44)."""
    body = avro_of(table(ROWS, filler=["x" * 100] * ROWS))
    mark, middle = body[-16:], len(body) // 2
    at = body.index(mark, middle)
    await files.put("good.avro", avro_of(table(0)), range(ROWS))
    await load(files, "avro", [await files.put("mark.avro", body[:at] + b"\xff" * 16 + body[at + 16 :])])


@pytest.mark.fault("F46", "2,000 columns, structs nested 20 and 90 deep, in Parquet")
async def test_wide_and_deep_files_are_loaded_or_refused_by_name(files: Landing) -> None:
    """2,000 columns and 20 levels are loaded; 90 levels are more than Spark Connect can tell of, and named (F46)."""
    wide = {f"c{n}": pa.array(range(ROWS)) for n in range(2000)}
    await files.put("wide.parquet", parquet(table(0, **wide)), range(ROWS))
    await files.put("deep.parquet", parquet(table(ROWS, deep=[nested(20)] * ROWS)), range(ROWS, 2 * ROWS))
    deeper = await files.put("deeper.parquet", parquet(table(2 * ROWS, deeper=[nested(90)] * ROWS)))
    await load(files, "parquet", [deeper])
