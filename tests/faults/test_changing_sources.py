"""Files that change under a run: overwritten (F40) or deleted (F41) between the listing and the load. Of a file there
is one version in the table, or none; never a mix."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.faults.cases import BUCKET, Case

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

NEW_IDS = range(5000, 5070)


async def meanwhile(case: Case, point: str, happens: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """One batch of four files; its executor stops at the point, something happens, and it goes on to the run's end."""
    executor, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=f"{point}:1:stop"), case.autoloader.start("scanner")
    )
    await case.begin(files_per_batch=10)
    await case.frozen(executor)
    await happens()
    executor.signal(signal.SIGCONT)
    return await case.ended()


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(
            "exec.after_claim", marks=pytest.mark.fault("F40", "a file is overwritten before it is staged"), id="before"
        ),
        pytest.param(
            "exec.during_stage", marks=pytest.mark.fault("F40", "a file is overwritten as it is read"), id="during"
        ),
        pytest.param(
            "exec.after_stage",
            marks=pytest.mark.fault("F40", "a file is overwritten after it was staged", quick=True),
            id="after",
        ),
    ],
)
async def test_a_file_overwritten_before_its_publish_is_loaded_in_its_new_version(case: Case, point: str) -> None:
    """The batch is burned, the other files go on, and the next run takes the new version."""
    await meanwhile(case, point, lambda: case.put(case.key(0), NEW_IDS))
    await case.ask()
    await case.succeeded()
    case.faults.judged(await case.verdict())


@pytest.mark.fault("F40", "a file is overwritten after it was published")
async def test_a_file_overwritten_after_its_publish_stays_as_it_was(case: Case) -> None:
    """``allow_overwrites=skip``: a key that was loaded is not loaded again."""
    old = range(50)

    async def overwrite() -> None:
        await case.put(case.key(0), NEW_IDS)
        case.ids[case.key(0)] = old

    run = await meanwhile(case, "exec.after_publish", overwrite)
    assert "success" == run["status"], case.story_of(run)
    await case.ask()
    await case.succeeded()
    case.faults.judged(await case.verdict())


@pytest.mark.fault("F41", "a file is deleted between the listing and the load")
async def test_a_file_that_is_gone_is_missing_and_the_rest_commits(case: Case) -> None:
    """The run names it."""
    gone = case.key(0)
    run = await meanwhile(case, "exec.after_claim", lambda: case.delete(gone))
    assert [f"s3://{BUCKET}/{gone}"] == [error["file"] for error in run["errors"]]
    case.faults.judged(await case.verdict())
