"""Bad records beside good ones (F43), and executors that are killed between the two tables."""

import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.landing import Landing, landing, lines
from tests.faults.tally import Faults
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]
BAD = b'{"id": 7, "text": \n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        await started.start("scanner")
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def files(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    """A place with bad lines first, in the middle, last and in a file that has nothing else."""
    async with landing(autoloader, spark, faults) as place:
        place.on_error = "continue"
        await place.put_rows("good.json", 2000, 20)
        for at in (1, 5, 10):
            ids = range(at * 100, at * 100 + 9)
            rows = [lines({"id": i, "text": f"row {i}"}) for i in ids]
            await place.put(f"bad_{at}.json", b"".join([*rows[: at - 1], BAD, *rows[at - 1 :]]), ids, [at])
        await place.put("all_bad.json", b"no\njson\nat all\n", bad=[1, 2, 3])
        yield place


@pytest.mark.fault("F43", "bad lines first, in the middle, last, and all; set aside beside good ones", quick=True)
async def test_bad_records_are_set_aside_and_the_others_load(files: Landing) -> None:
    """The run is partial, names each file with its first bad line, and its counts close. The next has nothing to do."""
    executor = await files.autoloader.start("executor")
    files.faults.inject(4)
    run = await files.run("partial")
    assert (len(files.ids), len(files.bad)) == (
        run["metrics"]["records_ingested"],
        run["metrics"]["records_quarantined"],
    ), files.story_of(run)
    first = {file: min(line for other, line in files.bad if other == file) for file, _ in files.bad}
    assert first == {error["file"]: error["line"] for error in run["errors"]}
    await files.check()
    assert 0 == (await files.run("success"))["metrics"]["files_processed"]
    await files.check()
    await executor.stop()


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=pytest.mark.fault("F43", f"an executor is killed at {point}", quick=quick), id=point)
        for point, quick in (
            ("exec.after_audit", False),
            ("exec.during_publish", False),
            ("exec.after_publish", False),
            ("exec.after_quarantine", True),
        )
    ],
)
async def test_an_executor_killed_between_the_two_tables_loses_and_doubles_nothing(files: Landing, point: str) -> None:
    """kill -9, then another executor: rows and bad records each once."""
    victim = await files.autoloader.start("executor", failpoint=point)
    files.faults.inject()
    run_id = await files.begin()
    assert -signal.SIGKILL == await victim.ended()
    executor = await files.autoloader.start("executor")
    run = await files.end_of(run_id)
    assert "partial" == run["status"], files.story_of(run)
    assert len(files.bad) == run["metrics"]["records_quarantined"]
    await files.check()
    await executor.stop()


@pytest.mark.fault("F43", "half of the records are bad, around the threshold")
async def test_the_threshold_stops_a_file_before_anything_of_it_is_published(
    autoloader: Installation, spark: Any, faults: Faults
) -> None:
    """Half is allowed: one file has just that, another one record more."""
    executor = await autoloader.start("executor")
    async with landing(autoloader, spark, faults) as place:
        place.on_error = "continue"
        await place.put("within.json", lines({"id": 1}, {"id": 2}) + BAD + BAD, [1, 2], [3, 4])
        beyond = await place.put("beyond.json", lines({"id": 3}, {"id": 4}) + BAD + BAD + BAD)
        faults.inject(2)
        await place.create()
        path = f"/api/v1/ingestions/{place.ingestion_id}"
        answer = await autoloader.client.patch(path, json={"quality": {"bad_records_share_max": 0.5}})
        assert answer.is_success, answer.text
        run = await place.run("partial")
        assert {"bad_records", "too_many_bad_records"} == {error["error_type"] for error in run["errors"]}
        assert beyond in {error["file"] for error in run["errors"]}
        await place.check()
    await executor.stop()
