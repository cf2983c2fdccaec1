"""Runs that read a part of their source, alone and beside a run that reads what is new."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from libs.common import failpoints
from libs.common.contracts.scope import ANY_AGE, Scope
from libs.common.contracts.topics import BACKFILL_BATCHES, FILE_BATCHES
from libs.common.failpoints import FailpointReached
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import digest_of
from libs.common.ledger.states import FileState
from libs.common.storage.control import outbox
from tests.integration.scanner.harness import BUCKET, Harness, PausingObjects, assert_each_once, names

pytestmark = pytest.mark.integration

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


async def scanned(harness: Harness, scope: Scope) -> list[list[str]]:
    run_id = await harness.new_run(scope=scope)
    await harness.scan(run_id)
    return await harness.batches(run_id)


def refuse(_: int) -> None:
    raise AssertionError("nobody needs a listing")


async def topics(harness: Harness) -> set[str]:
    """Those that this ingestion's batches were announced on."""
    async with harness.database.read() as connection:
        found = await connection.execute(select(outbox.c.topic, outbox.c.value))
        return {row.topic for row in found if str(harness.ingestion_id).encode() in row.value}


async def test_what_is_old_is_left_to_a_backfill(harness: Harness) -> None:
    """Existing files stay out of every run, until somebody asks for a part of them."""
    harness.options = {"include_existing_files": False}
    harness.put_at(LONG_AGO, "in/old.json", "in/older.json")
    first = await harness.scanned_run()
    assert [] == await harness.batches(first)
    [told] = await harness.warnings(first)
    assert "left out for the time" in told
    harness.put("in/new.json")
    assert [["in/new.json"]] == await harness.batches(await harness.scanned_run())
    assert [["in/older.json"]] == await scanned(harness, Scope(key_regex="older", is_backfill=True))
    assert [["in/old.json"]] == await scanned(harness, ANY_AGE)
    assert [] == await scanned(harness, ANY_AGE)


async def test_windows_may_overlap(harness: Harness) -> None:
    """Each file is in the first window that covers it."""
    harness.options = {"modified_after": LONG_AGO + 90 * DAY}
    for day in range(4):
        harness.put_at(LONG_AGO + day * DAY, f"in/{day}.json")
    narrow = Scope(modified_from=LONG_AGO + DAY, modified_until=LONG_AGO + 3 * DAY, is_backfill=True)
    assert [["in/1.json", "in/2.json"]] == await scanned(harness, narrow)
    wide = Scope(modified_until=LONG_AGO + 4 * DAY, is_backfill=True)
    assert [["in/0.json", "in/3.json"]] == await scanned(harness, wide)


async def test_a_manifest_is_looked_up_and_nothing_is_listed(harness: Harness) -> None:
    """Keys that are gone, or that the definition does not want, are counted in a warning."""
    harness.put(*names(5), "in/a.csv")

    harness.objects.on_page = refuse
    run_id = await harness.new_run(scope=Scope(keys=("in/03.json", "in/01.json", "in/gone.json", "in/a.csv")))
    await harness.scan(run_id)
    assert [["in/01.json", "in/03.json"]] == await harness.batches(run_id)
    [told] = await harness.warnings(run_id)
    assert "2 of the 4 keys" in told


async def test_a_cap_leaves_the_rest_for_another_time(harness: Harness) -> None:
    harness.put(*names(10))
    run_id = await harness.new_run(scope=Scope(max_files=4))
    await harness.scan(run_id)
    assert [names(3), ["in/03.json"]] == await harness.batches(run_id)
    [told] = await harness.warnings(run_id)
    assert "there are more" in told
    assert_each_once(names(10)[4:], await scanned(harness, Scope(max_files=100)))


async def test_a_scanner_that_takes_over_keeps_to_the_cap(harness: Harness) -> None:
    """What the dead one took counts, and what it took and did not batch is taken first."""
    harness.put(*names(10))
    run_id = await harness.new_run(scope=Scope(max_files=5))
    failpoints.arm("scan.after_page:1:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    harness.put("in/00-late.json")
    await harness.scan(run_id)
    assert 5 == sum(map(len, await harness.batches(run_id)))
    assert 5 == (await harness.totals(run_id)).files_discovered
    assert [] == await harness.problems(run_id)


async def test_two_lanes_never_take_the_same_file(harness: Harness) -> None:
    """The backfill has listed one page when a run for what is new comes, lists everything, and ends."""
    harness.put(*names(10))
    objects = PausingObjects(harness.objects)
    backfill = await harness.new_run(scope=ANY_AGE)
    task = asyncio.create_task(harness.scan(backfill, harness.scans(objects=objects)))
    await objects.is_pausing.wait()
    fresh = await harness.scanned_run()
    objects.go_on.set()
    await task
    batches = [*await harness.batches(backfill), *await harness.batches(fresh)]
    assert_each_once(names(10), batches)
    assert 10 == sum([(await harness.totals(run)).files_discovered for run in (backfill, fresh)])
    for run in (backfill, fresh):
        await harness.load(run)
        assert "success" == await harness.outcome(run)


async def test_each_lane_has_its_own_topic(harness: Harness) -> None:
    """An executor that has a thousand batches of history before it sees today's file at once."""
    harness.put("in/a.json")
    await scanned(harness, ANY_AGE)
    assert BACKFILL_BATCHES.name() in await topics(harness)
    assert FILE_BATCHES.name() not in await topics(harness)
    harness.put("in/b.json")
    await harness.scanned_run()
    assert FILE_BATCHES.name() in await topics(harness)


async def test_a_plan_is_loaded_exactly(harness: Harness) -> None:
    """What landed since is left to the next run."""
    harness.put(*names(5))
    plan_id = await harness.plan()
    harness.put("in/late.json")
    assert [names(3), names(5)[3:]] == await scanned(harness, Scope(plan_id=plan_id))


async def test_a_plan_that_does_not_hold_loads_nothing(harness: Harness) -> None:
    """All that changed is told, and all is left to the next run."""
    harness.put(*names(5))
    plan_id = await harness.plan()
    harness.put("in/01.json", body=b"{}\n{}\n")
    harness.objects.delete(BUCKET, "in/03.json")
    run_id = await harness.new_run(scope=Scope(plan_id=plan_id))
    await harness.scan(run_id)
    [problem] = await harness.problems(run_id)
    assert "plan_outdated" == problem.error_type
    assert "in/01.json was overwritten" in problem.message
    assert "in/03.json is gone" in problem.message
    assert ([], "failed") == (await harness.batches(run_id), await harness.outcome(run_id))
    assert_each_once(["in/00.json", "in/01.json", "in/02.json", "in/04.json"], await scanned(harness, ANY_AGE))


async def test_a_plan_survives_the_scanner_that_applied_it(harness: Harness) -> None:
    """What the dead one had taken is no change of the plan."""
    harness.put(*names(5))
    run_id = await harness.new_run(scope=Scope(plan_id=await harness.plan()))
    failpoints.arm("scan.after_page:1:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    await harness.scan(run_id)
    assert_each_once(names(5), await harness.batches(run_id))
    assert [] == await harness.problems(run_id)


RELOAD = Scope(again=True, is_backfill=True)


async def test_a_reload_plans_batches_that_replace_rows(harness: Harness) -> None:
    """Loaded files and new ones never share a batch: only the former take something out of the table."""
    harness.put(*names(4))
    await harness.load(await harness.scanned_run())
    harness.put("in/01.json", body=b"{}\n{}\n")
    harness.put("in/new.json")
    run_id = await harness.new_run(scope=RELOAD)
    await harness.scan(run_id)
    assert {("in/00.json", "in/01.json", "in/02.json"): True, ("in/03.json",): True, ("in/new.json",): False} == (
        await harness.replacing(run_id)
    )
    assert 5 == (await harness.totals(run_id)).files_discovered
    other = await harness.new_run(scope=RELOAD)
    await harness.scan(other)
    assert ({}, 5) == (await harness.replacing(other), (await harness.totals(other)).files_skipped)
    await harness.load(run_id)
    assert "success" == await harness.outcome(run_id)
    assert "committed" == (await harness.states())["in/00.json"]
    assert {"superseded", "committed"} == set((await harness.states())["in/01.json"].split(", "))


async def test_a_scanner_that_takes_a_reload_over_plans_nothing_twice(harness: Harness) -> None:
    harness.put(*names(8))
    await harness.load(await harness.scanned_run())
    run_id = await harness.new_run(scope=RELOAD)
    failpoints.arm("scan.after_page:1:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    await harness.scan(run_id)
    planned = await harness.replacing(run_id)
    assert_each_once(names(8), list(planned))
    assert all(planned.values())
    assert 8 == (await harness.totals(run_id)).files_discovered


async def test_a_reload_of_what_failed_lists_nothing(harness: Harness) -> None:
    """The ledger knows the keys; they are looked up as they are now."""
    harness.put(*names(3))
    first = await harness.scanned_run()
    failed = {digest_of(BUCKET, key): Fate(FileState.FAILED) for key in ("in/00.json", "in/02.json")}
    [good] = [digest_of(BUCKET, "in/01.json")]
    await harness.burn(first, BurnVerdict({**failed, good: Fate(FileState.DISCOVERED)}))
    harness.objects.delete(BUCKET, "in/02.json")
    harness.objects.on_page = refuse
    run_id = await harness.new_run(scope=Scope(again=True, failed=True, is_backfill=True))
    await harness.scan(run_id)
    assert {("in/00.json",): False} == await harness.replacing(run_id)


async def test_a_scanner_that_takes_over_what_failed_goes_on_with_it(harness: Harness) -> None:
    """The dead one had marked the files as found, and in no batch yet: they are not gone."""
    harness.put(*names(2))
    first = await harness.scanned_run()
    await harness.burn(first, BurnVerdict({digest_of(BUCKET, key): Fate(FileState.FAILED) for key in names(2)}))
    run_id = await harness.new_run(scope=Scope(again=True, failed=True, is_backfill=True))
    failpoints.arm("scan.after_page:1:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    await harness.scan(run_id)
    assert [names(2)] == await harness.batches(run_id)
    assert [] == await harness.problems(run_id)


async def test_a_plan_that_has_begun_goes_on_after_a_takeover(harness: Harness) -> None:
    """None of it is too late to ask for: what changed since is told file by file, as in any run."""
    harness.put(*names(4), "in/gone.json")
    run_id = await harness.new_run(scope=Scope(plan_id=await harness.plan()))
    failpoints.arm("scan.after_page:1:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    harness.objects.delete(BUCKET, "in/gone.json")
    await harness.scan(run_id)
    assert_each_once([*names(4), "in/gone.json"], await harness.batches(run_id))
    assert [] == await harness.problems(run_id)


async def test_a_plan_that_is_forgotten_is_no_success(harness: Harness) -> None:
    harness.put("in/a.json")
    run_id = await harness.new_run(scope=Scope(plan_id=uuid4()))
    await harness.scan(run_id)
    assert ["plan_outdated"] == [p.error_type for p in await harness.problems(run_id)]
    assert "failed" == await harness.outcome(run_id)
