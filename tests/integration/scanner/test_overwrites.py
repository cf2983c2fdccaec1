"""Loaded files that were written again, as a listing finds them: by policy, in one run and in those that follow."""

import pytest

from libs.common import failpoints
from libs.common.contracts.definition import OverwritePolicy
from libs.common.contracts.scope import Scope
from libs.common.failpoints import FailpointReached
from libs.common.ids import RunId
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import digest_of
from libs.common.ledger.states import FileState
from tests.integration.scanner.harness import BUCKET, Harness, names

pytestmark = [pytest.mark.integration]

NEW = b'{"new": 1}\n'
OVERWRITTEN = ("in/01.json", "in/02.json")


async def overwritten(harness: Harness, policy: OverwritePolicy) -> None:
    """Five files were loaded; two of them were written again, and a new one landed."""
    harness.put(*names(5))
    await harness.load(await harness.scanned_run())
    harness.put(*OVERWRITTEN, body=NEW)
    harness.put("in/new.json")
    harness.options["allow_overwrites"] = policy


async def asked(harness: Harness, *, dies_after_pages: int | None = None, scope: Scope | None = None) -> RunId:
    """A run's listing, from its beginning to its end, by one scanner or by two."""
    run_id = await harness.new_run(scope=scope)
    if dies_after_pages is not None:
        failpoints.arm(f"scan.after_page:{dies_after_pages}:raise")
        with pytest.raises(FailpointReached):
            await harness.scan(run_id)
    await harness.scan(run_id)
    return run_id


@pytest.mark.parametrize("dies_after_pages", [None, 1, 2])
@pytest.mark.parametrize(
    ("policy", "planned", "of_overwritten", "numbers", "outcome"),
    [
        ("skip", {("in/new.json",): False}, "committed, skipped", (1, 1, 0, 5), "success"),
        ("append", {(*OVERWRITTEN, "in/new.json"): False}, "committed, committed", (3, 3, 0, 3), "success"),
        (
            "replace",
            {OVERWRITTEN: True, ("in/new.json",): False},
            "superseded, committed",
            (3, 3, 0, 3),
            "success",
        ),
        ("fail", {("in/new.json",): False}, "committed, failed", (3, 1, 2, 3), "partial"),
    ],
)
async def test_a_run_treats_overwritten_files_by_its_policy(
    harness: Harness,
    policy: OverwritePolicy,
    planned: dict[tuple[str, ...], bool],
    of_overwritten: str,
    numbers: tuple[int, int, int, int],
    outcome: str,
    dies_after_pages: int | None,
) -> None:
    """Also if its scanner dies in the middle. ``numbers``: found, done, failed, skipped."""
    await overwritten(harness, policy)
    run_id = await asked(harness, dies_after_pages=dies_after_pages)
    assert planned == await harness.replacing(run_id)
    await harness.load(run_id)
    assert of_overwritten == (await harness.states())["in/01.json"]
    totals = await harness.totals(run_id)
    assert numbers == (totals.files_discovered, totals.files_done, totals.files_failed, totals.files_skipped)
    assert outcome == await harness.outcome(run_id)


@pytest.mark.parametrize(("policy", "is_told_again"), [("skip", 0), ("append", 0), ("replace", 0), ("fail", 2)])
async def test_the_next_run_finds_nothing_new(harness: Harness, policy: OverwritePolicy, is_told_again: int) -> None:
    """Where overwritten files fail runs, it names them, too."""
    await overwritten(harness, policy)
    await harness.load(await asked(harness))
    again = await asked(harness)
    assert {} == await harness.replacing(again)
    problems = await harness.problems(again)
    assert ["file_overwritten"] * is_told_again == [problem.error_type for problem in problems]
    assert all("files/reload" in problem.hint for problem in problems)


@pytest.mark.parametrize("policy", ["skip", "append", "replace", "fail"])
async def test_the_same_content_again_is_nothing_new(harness: Harness, policy: OverwritePolicy) -> None:
    """Under every policy: what counts is what a file holds, not when it was written."""
    harness.put(*names(2))
    await harness.load(await harness.scanned_run())
    harness.put(*names(2))
    harness.options["allow_overwrites"] = policy
    run_id = await asked(harness)
    assert ({}, [], "success") == (
        await harness.replacing(run_id),
        await harness.problems(run_id),
        await harness.outcome(run_id),
    )


@pytest.mark.parametrize("before", ["skip", "fail"])
@pytest.mark.parametrize(("policy", "replaces"), [("append", False), ("replace", True)])
async def test_a_new_policy_takes_up_what_the_old_one_left(
    harness: Harness, before: OverwritePolicy, policy: OverwritePolicy, replaces: bool
) -> None:
    """The versions that are there now."""
    await overwritten(harness, before)
    await harness.load(await asked(harness))
    harness.options["allow_overwrites"] = policy
    assert {OVERWRITTEN: replaces} == await harness.replacing(await asked(harness))


async def test_what_a_policy_refused_is_only_skipped_by_the_next(harness: Harness) -> None:
    """From ``fail`` back to ``skip``: the ledger says what is so today."""
    await overwritten(harness, "fail")
    await harness.load(await asked(harness))
    harness.options["allow_overwrites"] = "skip"
    run_id = await asked(harness)
    assert ("success", "committed, skipped") == (
        await harness.outcome(run_id),
        (await harness.states())["in/01.json"],
    )


async def test_a_version_that_could_not_take_another_ones_place_is_not_tried_again(harness: Harness) -> None:
    """Until there is a new one: it failed for what it holds. What was given up is tried again."""
    await overwritten(harness, "replace")
    run_id = await asked(harness)
    fates = {
        digest_of(BUCKET, "in/01.json"): Fate(FileState.FAILED),
        digest_of(BUCKET, "in/02.json"): Fate(FileState.DISCOVERED),
        digest_of(BUCKET, "in/new.json"): Fate(FileState.DISCOVERED),
    }
    await harness.burn(run_id, BurnVerdict(fates))
    assert "committed, failed" == (await harness.states())["in/01.json"]
    assert {("in/02.json",): True, ("in/new.json",): False} == await harness.replacing(await asked(harness))
    harness.put("in/01.json", body=NEW + NEW)
    assert {("in/01.json",): True} == await harness.replacing(await asked(harness))


async def test_a_backfill_follows_the_policy_and_its_cap(harness: Harness) -> None:
    """What it replaces counts as what it adds; the rest is the next one's."""
    await overwritten(harness, "replace")
    first = await asked(harness, scope=Scope(is_backfill=True, max_files=2))
    second = await asked(harness, scope=Scope(is_backfill=True))
    planned = [*await harness.replacing(first), *await harness.replacing(second)]
    assert [2, 1] == [sum(map(len, await harness.replacing(run_id))) for run_id in (first, second)]
    assert sorted([*OVERWRITTEN, "in/new.json"]) == sorted(key for batch in planned for key in batch)


@pytest.mark.parametrize(("policy", "replaces"), [("append", False), ("replace", True)])
async def test_a_plan_of_overwritten_files_is_applied(
    harness: Harness, policy: OverwritePolicy, replaces: bool
) -> None:
    """And is outdated once a run has loaded them."""
    harness.put(*OVERWRITTEN)
    await harness.load(await harness.scanned_run())
    harness.put(*OVERWRITTEN, body=NEW)
    harness.options["allow_overwrites"] = policy
    scope = Scope(plan_id=await harness.plan())
    run_id = await asked(harness, dies_after_pages=1, scope=scope)
    assert {OVERWRITTEN: replaces} == await harness.replacing(run_id)
    assert [] == await harness.problems(run_id)
    late = await asked(harness, scope=scope)
    assert ["plan_outdated"] == [problem.error_type for problem in await harness.problems(late)]
    await harness.load(run_id)
    late = await asked(harness, scope=scope)
    assert ["plan_outdated"] == [problem.error_type for problem in await harness.problems(late)]


async def test_a_reload_leaves_one_version_of_what_was_added(harness: Harness) -> None:
    """It replaces rows under every policy."""
    await overwritten(harness, "append")
    await harness.load(await asked(harness))
    run_id = await asked(harness, scope=Scope(keys=OVERWRITTEN, again=True, is_backfill=True))
    assert {OVERWRITTEN: True} == await harness.replacing(run_id)
    await harness.load(run_id)
    assert "superseded, committed" == (await harness.states())["in/01.json"]


async def test_a_reload_of_what_failed_takes_what_a_run_refused(harness: Harness) -> None:
    """That is one way to act on it; the runs that follow have nothing to say any more."""
    await overwritten(harness, "fail")
    await harness.load(await asked(harness))
    run_id = await asked(harness, scope=Scope(failed=True, again=True, is_backfill=True))
    assert {OVERWRITTEN: True} == await harness.replacing(run_id)
    await harness.load(run_id)
    assert "success" == await harness.outcome(await asked(harness))


async def test_a_run_and_a_reload_of_the_same_file_do_not_both_load_it(harness: Harness) -> None:
    """The run leaves it to the reload that is on its way."""
    await overwritten(harness, "append")
    await asked(harness, scope=Scope(keys=OVERWRITTEN, again=True, is_backfill=True))
    assert {("in/new.json",): False} == await harness.replacing(await asked(harness))
