"""Files that change under a run: overwritten (F40) or deleted (F41) between the listing and the load. Of a file there
is one version in the table, or none; never a mix. Whatever the policy for files that were loaded before."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from libs.common.contracts.definition import OverwritePolicy
from tests.faults.cases import BUCKET, RECORDS, Case

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

OLD_IDS, NEW_IDS, NEWEST_IDS = range(RECORDS), range(5000, 5070), range(6000, 6030)
POINTS = {
    "exec.after_claim": "before it is staged",
    "exec.during_stage": "as it is read",
    "exec.after_stage": "after it was staged",
}
POLICIES: tuple[OverwritePolicy, ...] = ("skip", "append", "replace", "fail")


async def begun(case: Case) -> None:
    """Four files land, in one batch, and a run is asked for."""
    await case.begin(files_per_batch=10)


async def meanwhile(
    case: Case, point: str, happens: Callable[[], Awaitable[None]], begin: Callable[[Case], Awaitable[None]] = begun
) -> dict[str, Any]:
    """One batch; its executor stops at the point, something happens, and it goes on to the run's end."""
    executor, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=f"{point}:1:stop"), case.autoloader.start("scanner")
    )
    await begin(case)
    await case.frozen(executor)
    await happens()
    executor.signal(signal.SIGCONT)
    return await case.ended()


@pytest.mark.parametrize(
    ("point", "policy"),
    [
        pytest.param(
            point,
            policy,
            marks=pytest.mark.fault(
                "F40",
                f"a file is overwritten {words}: {policy}",
                quick=(point, policy) == ("exec.after_stage", "skip"),
            ),
        )
        for point, words in POINTS.items()
        for policy in POLICIES
    ],
)
async def test_a_file_overwritten_before_its_publish_is_loaded_in_its_new_version(
    case: Case, point: str, policy: OverwritePolicy
) -> None:
    """The batch is burned, the other files go on, and the next run takes the new version: under every policy, for
    nothing of the file was loaded."""
    case.overwrites = policy
    await meanwhile(case, point, lambda: case.put(case.key(0), NEW_IDS))
    await case.ask()
    await case.succeeded()
    case.faults.judged(await case.verdict())


@pytest.mark.fault("F40", "a file is overwritten between its audit and its publish")
async def test_a_file_overwritten_between_its_audit_and_its_publish_is_one_that_was_loaded(case: Case) -> None:
    """The last look at it was before: the version that was staged is published, and whole."""

    async def overwrite() -> None:
        await case.put(case.key(0), NEW_IDS)
        case.ids[case.key(0)] = OLD_IDS

    run = await meanwhile(case, "exec.before_publish", overwrite)
    assert "success" == run["status"], case.story_of(run)
    await case.ask()
    await case.succeeded()
    case.faults.judged(await case.verdict())


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(policy, marks=pytest.mark.fault("F40", f"a file is overwritten after it was published: {policy}"))
        for policy in POLICIES
    ],
)
async def test_a_file_overwritten_after_its_publish_is_what_the_policy_is_for(
    case: Case, policy: OverwritePolicy
) -> None:
    """Its first version stays, gets the second beside it, or gives way to it; or the next run says so, and fails."""
    case.overwrites = policy
    run = await meanwhile(case, "exec.after_publish", lambda: case.put(case.key(0), NEW_IDS))
    assert "success" == run["status"], case.story_of(run)
    if policy in ("skip", "fail"):
        case.ids[case.key(0)] = OLD_IDS
    elif policy == "append":
        case.ids[f"{case.key(0)} as it was"] = OLD_IDS
    for _ in range(2):
        await case.ask()
        run = await case.ended()
        errors = [(error["error_type"], error["file"]) for error in run["errors"]]
        if policy == "fail":
            assert ("failed", [("file_overwritten", f"s3://{BUCKET}/{case.key(0)}")]) == (run["status"], errors)
        else:
            assert ("success", []) == (run["status"], errors), case.story_of(run)
    case.faults.judged(await case.verdict())


async def overwritten_after_it_was_loaded(case: Case) -> None:
    """Asks for the run that loads the second version of a file, by an executor that waits for it."""
    await case.put(case.key(0), NEW_IDS)
    await case.ask()


async def loaded(case: Case, policy: OverwritePolicy) -> None:
    """A run loads four files, and its services are stopped."""
    case.overwrites = policy
    services = await asyncio.gather(*(case.autoloader.start(name) for name in ("executor", "scanner")))
    await begun(case)
    await case.succeeded()
    await asyncio.gather(*(service.stop() for service in services))
    for service in services:
        case.autoloader.running.remove(service)


@pytest.mark.parametrize(
    ("point", "policy"),
    [
        pytest.param(
            point,
            policy,
            marks=pytest.mark.fault("F40", f"a loaded file is overwritten, and once more {words}: {policy}"),
        )
        for point, words in POINTS.items()
        for policy in ("append", "replace")
    ],
)
async def test_a_loaded_file_that_changes_twice_ends_up_in_its_last_version(
    case: Case, point: str, policy: OverwritePolicy
) -> None:
    """Nothing of the version in between is in the table; the first one's rows are there until the last one's are."""
    await loaded(case, policy)
    run = await meanwhile(case, point, lambda: case.put(case.key(0), NEWEST_IDS), begin=overwritten_after_it_was_loaded)
    assert "failed" == run["status"], case.story_of(run)
    assert ["file_overwritten"] == [error["error_type"] for error in run["errors"]]
    assert {*OLD_IDS} <= {row["id"] for row in await case.sql(f"SELECT id FROM {case.table}")}
    await case.ask()
    await case.succeeded()
    if policy == "append":
        case.ids[f"{case.key(0)} as it was"] = OLD_IDS
    case.faults.judged(await case.verdict())


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(
            policy,
            marks=pytest.mark.fault("F41", f"a file is deleted between the listing and the load: {policy}"),
        )
        for policy in POLICIES
    ],
)
async def test_a_file_that_is_gone_is_missing_and_the_rest_commits(case: Case, policy: OverwritePolicy) -> None:
    """The run names it."""
    case.overwrites = policy
    gone = case.key(0)
    run = await meanwhile(case, "exec.after_claim", lambda: case.delete(gone))
    assert [("file_missing", f"s3://{BUCKET}/{gone}")] == [(e["error_type"], e["file"]) for e in run["errors"]]
    case.faults.judged(await case.verdict())


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(
            policy, marks=pytest.mark.fault("F41", f"an overwritten file is deleted before its load: {policy}")
        )
        for policy in ("append", "replace")
    ],
)
async def test_a_loaded_file_that_changes_and_is_gone_keeps_its_rows(case: Case, policy: OverwritePolicy) -> None:
    """What is gone from the bucket stays in the table."""
    await loaded(case, policy)
    gone = case.key(0)
    run = await meanwhile(case, "exec.after_claim", lambda: case.delete(gone), begin=overwritten_after_it_was_loaded)
    assert [("file_missing", f"s3://{BUCKET}/{gone}")] == [(e["error_type"], e["file"]) for e in run["errors"]]
    case.ids[gone] = OLD_IDS
    await case.ask()
    await case.succeeded()
    case.faults.judged(await case.verdict())
