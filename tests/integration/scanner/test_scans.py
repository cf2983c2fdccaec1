"""Runs, as a scanner sees to them: what is found, what is skipped, and what the user is told."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from libs.common.contracts.events import Problem, Totals
from libs.common.errors import Permanent, Temporary
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import digest_of
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import batch, batch_attempt
from libs.common.objects.read_ahead import ReadAhead
from libs.common.storage.engine import Database
from tests.integration.scanner.harness import BUCKET, Harness, PausingObjects, assert_each_once, names
from tests.support.eventually import eventually

pytestmark = pytest.mark.integration


async def test_every_file_is_in_one_batch(harness: Harness) -> None:
    """Cut by number, over the borders of pages; other files and folder markers are not looked at."""
    harness.put(*names(10), "in/deep/er/x.json", "in/readme.txt", "other/y.json")
    harness.put("in/", "in/deep/", body=b"")
    run_id = await harness.scanned_run()
    batches = await harness.batches(run_id)
    assert_each_once([*names(10), "in/deep/er/x.json"], batches)
    assert [2, 3, 3, 3] == sorted(map(len, batches))
    assert Totals(files_discovered=11, batches_planned=4) == await harness.totals(run_id)
    assert (None, ()) == (await harness.outcome(run_id), await harness.warnings(run_id))
    await harness.load(run_id)
    assert "success" == await harness.outcome(run_id)


async def test_the_first_batch_is_loaded_while_the_listing_goes_on(harness: Harness) -> None:
    """Executors do not wait for the end of a listing, also when the next pages wait already."""
    harness.put(*names(10))
    slow = PausingObjects(harness.objects)
    run_id = await harness.new_run()
    listing = asyncio.create_task(harness.scan(run_id, harness.scans(objects=ReadAhead(slow))))
    await eventually(lambda: harness.unfinished(run_id), 60)
    await harness.load(run_id)
    assert (3, False) == ((await harness.totals(run_id)).files_done, await harness.is_scanned(run_id))
    assert not listing.done()
    slow.go_on.set()
    await listing
    await harness.load(run_id)
    assert (10, "success") == ((await harness.totals(run_id)).files_done, await harness.outcome(run_id))
    assert_each_once(names(10), await harness.batches(run_id))


async def test_a_second_run_skips_what_the_first_found(harness: Harness) -> None:
    """Loaded or still on its way; only the new file is new, wherever its name sorts."""
    harness.put(*names(5))
    first = await harness.scanned_run()
    second = await harness.scanned_run()
    assert ("success", Totals(files_skipped=5)) == (await harness.outcome(second), await harness.totals(second))
    await harness.load(first)
    harness.put("in/00-late.json")
    third = await harness.scanned_run()
    assert [["in/00-late.json"]] == await harness.batches(third)
    assert Totals(files_discovered=1, files_skipped=5, batches_planned=1) == await harness.totals(third)


async def test_a_file_that_was_overwritten_after_it_was_loaded_is_left_alone(harness: Harness) -> None:
    """``allow_overwrites: skip``."""
    harness.put(*names(2))
    await harness.load(await harness.scanned_run())
    harness.put("in/00.json", body=b'{"other": 1}\n')
    assert Totals(files_skipped=2) == await harness.totals(await harness.scanned_run())
    assert {"in/00.json": "committed, skipped", "in/01.json": "committed"} == await harness.states()


async def test_a_failed_file_is_retried_when_it_was_corrected(harness: Harness) -> None:
    """Not before: the same bytes would fail again."""
    harness.put("in/a.json", body=b"bad")
    bad = harness.objects.buckets[BUCKET]["in/a.json"]
    fate = Fate(FileState.FAILED, Problem(error_type="unparsable_file", message="bad"))
    await harness.burn(await harness.scanned_run(), BurnVerdict({bad.digest: fate}))
    assert Totals(files_skipped=1) == await harness.totals(await harness.scanned_run())
    harness.put("in/a.json", body=b"{}\n")
    await harness.load(await harness.scanned_run())
    assert {"in/a.json": "failed, committed"} == await harness.states()


async def test_a_retry_reads_what_failed_and_nothing_else(harness: Harness) -> None:
    """In whatever version it is there now; new files are left to the next run, and are no failure of this one."""
    harness.put("in/bad.json", "in/worse.json")
    first = await harness.new_run()
    await harness.scan(first)
    fates = {digest_of(BUCKET, key): Fate(FileState.FAILED) for key in ("in/bad.json", "in/worse.json")}
    await harness.burn(first, BurnVerdict(fates))
    harness.put("in/new.json")
    harness.put("in/worse.json", body=b"{}\n{}\n")
    retry = await harness.new_run(retry_of=first)
    await harness.scan(retry)
    assert [["in/bad.json", "in/worse.json"]] == await harness.batches(retry)
    await harness.load(retry)
    assert "success" == await harness.outcome(retry)
    following = await harness.scanned_run()
    assert [["in/new.json"]] == await harness.batches(following)


async def test_files_that_were_given_up_are_the_next_runs(harness: Harness) -> None:
    """The table was away; nothing is wrong with them."""
    harness.put(*names(2))
    files = harness.objects.buckets[BUCKET].values()
    away = Problem(error_type="spark_unreachable", message="Spark is away")
    first = await harness.scanned_run()
    await harness.burn(first, BurnVerdict({f.digest: Fate(FileState.DISCOVERED) for f in files}, away))
    assert ("failed", 2) == (await harness.outcome(first), (await harness.totals(first)).files_failed)
    second = await harness.scanned_run()
    assert [names(2)] == await harness.batches(second)
    await harness.load(second)
    totals = await harness.totals(second)
    assert (2, 2, 0) == (totals.files_discovered, totals.files_done, totals.files_skipped)


async def test_unreadable_keys_make_a_run_partial(harness: Harness) -> None:
    """Each is named, with its reason; the others are loaded; the next run has nothing to say (F47)."""
    harness.put("in/good.json", "in/_bad.json", "in//worse.json", "in/nul\0.json", "in/tab\t.json")
    run_id = await harness.scanned_run()
    await harness.load(run_id)
    totals = await harness.totals(run_id)
    assert ("partial", 5, 4, 1) == (
        await harness.outcome(run_id),
        totals.files_discovered,
        totals.files_failed,
        totals.files_done,
    )
    told = [p.file for p in await harness.problems(run_id)]
    bad = ("in//worse.json", "in/_bad.json", "in/nul\0.json", "in/tab\t.json")
    assert sorted(f"s3://{BUCKET}/{key}" for key in bad) == sorted(map(str, told))
    again = await harness.scanned_run()
    assert ("success", Totals(files_skipped=5)) == (await harness.outcome(again), await harness.totals(again))


async def test_an_empty_place_is_worth_a_warning(harness: Harness) -> None:
    """A user who sees zero files wants to know why."""
    run_id = await harness.scanned_run()
    assert ("success", Totals()) == (await harness.outcome(run_id), await harness.totals(run_id))
    (warning,) = await harness.warnings(run_id)
    assert "there is no object under s3://landing/in/" in warning


async def test_a_pattern_that_matches_nothing_is_worth_a_warning(harness: Harness) -> None:
    """With how many it was tried on."""
    harness.put("in/a.csv", "in/b.csv")
    (warning,) = await harness.warnings(await harness.scanned_run())
    assert "none of the 2 objects under s3://landing/in/ matches '*.json'" in warning


async def test_a_bucket_that_does_not_exist_ends_the_run(harness: Harness) -> None:
    """Failed, with the reason; the request is not repeated."""
    del harness.objects.buckets[BUCKET]
    run_id = await harness.scanned_run()
    assert "failed" == await harness.outcome(run_id)
    assert ["bucket_not_found"] == [p.error_type for p in await harness.problems(run_id)]


async def test_a_pattern_that_cannot_be_read_ends_the_run(harness: Harness) -> None:
    """Before anything is listed."""
    harness.pattern = "[a"
    run_id = await harness.scanned_run()
    assert "failed" == await harness.outcome(run_id)
    assert ["bad_file_pattern"] == [p.error_type for p in await harness.problems(run_id)]


@pytest.mark.parametrize("kind", [Temporary, Permanent])
async def test_a_store_that_fails_midway_loses_nothing(harness: Harness, kind: type[Temporary | Permanent]) -> None:
    """What was planned goes on, the run says what happened, and the next one finds the rest (F38, F39)."""
    harness.put(*names(10))

    def fail(page: int) -> None:
        if page == 3:
            raise kind("the store is away", code="storage_unreachable")

    harness.objects.on_page = fail
    first = await harness.scanned_run()
    assert [names(3), names(6)[3:]] == await harness.batches(first)
    assert None is await harness.outcome(first)
    await harness.load(first)
    assert "partial" == await harness.outcome(first)
    assert ["storage_unreachable"] == [p.error_type for p in await harness.problems(first)]
    harness.objects.on_page = None
    second = await harness.scanned_run()
    assert_each_once(names(10), [*await harness.batches(first), *await harness.batches(second)])
    assert Totals(files_discovered=4, files_skipped=6, batches_planned=2) == await harness.totals(second)


async def test_keys_that_come_and_go_behind_the_cursor_wait_for_the_next_run(harness: Harness) -> None:
    """No gap, nobody twice (F39)."""
    harness.put(*names(10))

    def change(page: int) -> None:
        if page == 2:
            harness.objects.delete(BUCKET, "in/00.json")
            harness.put("in/00-late.json", "in/99.json")

    harness.objects.on_page = change
    first = await harness.scanned_run()
    assert_each_once([*names(10), "in/99.json"], await harness.batches(first))
    harness.objects.on_page = None
    assert [["in/00-late.json"]] == await harness.batches(await harness.scanned_run())


async def test_batches_are_smaller_after_some_that_took_too_long(database: Database) -> None:
    """And as large as before when others were fast."""
    harness = Harness(database)
    harness.batch_files = 20
    harness.put(*names(40))
    run_id = await harness.scanned_run()
    await harness.load(run_id)
    is_its = batch_attempt.c.batch_id.in_(select(batch.c.id).where(batch.c.run_id == run_id))
    for took_s, expected in [(480, [5, 5, 5, 5]), (120, [20])]:
        async with database.begin() as connection:
            ago = batch_attempt.c.ended_at - timedelta(seconds=took_s)
            await connection.execute(update(batch_attempt).where(is_its).values(started_at=ago))
        harness.put(*(f"in/{took_s}-{n:02}.json" for n in range(20)))
        run_id = await harness.scanned_run()
        assert expected == [len(keys) for keys in await harness.batches(run_id)]
        await harness.load(run_id)
