"""Runs that look at what notifications told of: at the objects themselves, never at what was said of them."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from libs.common import failpoints
from libs.common.contracts.definition import Credentials
from libs.common.contracts.events import Problem
from libs.common.contracts.scope import HINTED, Scope
from libs.common.failpoints import FailpointReached
from libs.common.ids import RunId
from libs.common.ledger.hints import Hints, hint
from libs.common.ledger.model.hints import Hint
from libs.common.ledger.tables import file
from libs.common.storage.control import run
from services.scanner.domain.seen import ON_ITS_WAY
from tests.integration.scanner.harness import BUCKET, Harness, assert_each_once, names

pytestmark = pytest.mark.integration
AGES_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_AWAY = Problem(error_type="storage_unreachable", message="the store does not answer")


async def notice(harness: Harness, *keys: str) -> None:
    await Hints(harness.database).add([Hint(harness.ingestion_id, BUCKET, key, 3) for key in keys])


async def event_run(harness: Harness) -> RunId:
    run_id = await harness.new_run(scope=HINTED)
    async with harness.database.begin() as connection:
        await connection.execute(run.update().where(run.c.id == run_id).values(lane="fresh", trigger="event"))
    return run_id


async def scanned(harness: Harness) -> list[list[str]]:
    run_id = await event_run(harness)
    await harness.scan(run_id)
    return await harness.batches(run_id)


async def test_only_what_was_noticed_is_looked_at(harness: Harness) -> None:
    """Nothing is listed, and the same key is not taken twice."""
    harness.put(*names(5))
    await notice(harness, "in/01.json", "in/03.json", "in/01.json")
    assert [["in/01.json", "in/03.json"]] == await scanned(harness)
    assert [] == await scanned(harness)


async def test_what_a_notification_says_does_not_count(harness: Harness) -> None:
    """It names an object that is not there, one that nobody wants, a folder's marker, and the wrong size of another."""
    harness.put("in/there.json", "in/unwanted.csv")
    harness.put("in/folder/", body=b"")
    await notice(harness, "in/forged.json", "in/unwanted.csv", "in/folder/", "elsewhere/there.json", "in/there.json")
    run_id = await event_run(harness)
    await harness.scan(run_id)
    assert [["in/there.json"]] == await harness.batches(run_id)
    assert {"in/there.json": "batched"} == await harness.states()
    assert () == await harness.warnings(run_id)


async def test_a_notification_that_comes_late_or_twice_changes_nothing(harness: Harness) -> None:
    """The file is in the table by then."""
    harness.put("in/a.json")
    await notice(harness, "in/a.json")
    first = await event_run(harness)
    await harness.scan(first)
    await harness.load(first)
    await notice(harness, "in/a.json")
    again = await event_run(harness)
    await harness.scan(again)
    assert [] == await harness.batches(again)
    assert "success" == await harness.outcome(again)


async def test_an_object_that_was_overwritten_is_taken_as_it_is_now(harness: Harness) -> None:
    """The notification of its first version comes after the second was written."""
    harness.put("in/a.json", body=b'{"n": 1}\n')
    harness.put("in/a.json", body=b'{"n": 2, "more": true}\n')
    await notice(harness, "in/a.json")
    assert [["in/a.json"]] == await scanned(harness)


@pytest.mark.parametrize("point", ["scan.mid_listing", "scan.after_page", "scan.before_done"])
async def test_a_scanner_that_died_is_made_up_for(harness: Harness, point: str) -> None:
    """Its successor reads the hints again; every file is in one batch, and then no hint is left."""
    harness.put(*names(8))
    await notice(harness, *names(8))
    run_id = await event_run(harness)
    failpoints.arm(f"{point}:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    failpoints.arm(None)
    await harness.scan(run_id)
    assert_each_once(names(8), await harness.batches(run_id))
    assert [] == await scanned(harness)


async def test_a_scan_that_cannot_go_on_leaves_its_hints(harness: Harness) -> None:
    """Its credentials are wrong for a while; the next run has everything."""
    harness.put("in/a.json")
    await notice(harness, "in/a.json")
    harness.objects.access = Credentials(aws_access_key_id="others", aws_secret_access_key="only")
    assert [] == await scanned(harness)
    harness.objects.access = None
    assert [["in/a.json"]] == await scanned(harness)


async def test_what_an_earlier_run_left_waiting_is_loaded_too(harness: Harness) -> None:
    """Nobody will tell of it again: its listing broke off after the page that had it."""
    harness.put("in/left.json")
    failpoints.arm("scan.before_done:raise")
    broken = await harness.new_run()
    with pytest.raises(FailpointReached):
        await harness.scan(broken)
    failpoints.arm(None)
    ledger = harness.ledger()
    claim = await ledger.claim(broken, harness.ingestion_id, 1)
    assert claim is not None
    await ledger.break_off(claim, problem=_AWAY)
    harness.put("in/new.json")
    await notice(harness, "in/new.json")
    assert [["in/left.json", "in/new.json"]] == await scanned(harness)


async def test_a_listing_tells_how_much_notifications_missed(harness: Harness) -> None:
    """Not what was there before, not what waits as a hint, and not what has landed just now."""
    since = datetime.now(UTC) - timedelta(hours=1)
    harness.put_at(AGES_AGO, "in/before.json")
    harness.put_at(since + ON_ITS_WAY, "in/missed.json", "in/told.json")
    harness.put("in/just_now.json")
    await notice(harness, "in/told.json")
    run_id = await harness.new_run(scope=Scope(noticed_since=since))
    await harness.scan(run_id)
    assert_each_once(
        ["in/before.json", "in/missed.json", "in/told.json", "in/just_now.json"], await harness.batches(run_id)
    )
    [warning] = await harness.warnings(run_id)
    assert warning.startswith("notifications missed 1 of the files")


async def test_a_version_that_comes_while_an_earlier_one_is_in_work_is_looked_at_again(harness: Harness) -> None:
    """The listing of another lane has batched the first; nobody would tell of the second again."""
    harness.put("in/a.json", body=b'{"n": 1}\n')
    listing = await harness.new_run()
    await harness.scan(listing)
    harness.put("in/a.json", body=b'{"n": 2, "more": true}\n')
    await notice(harness, "in/a.json")
    assert [] == await scanned(harness)
    assert ["in/a.json"] == await hinted(harness)
    await harness.load(listing)
    assert [] == await scanned(harness)  # by its policy it is left, and remembered
    assert [] == await hinted(harness)
    assert {"committed", "skipped"} == await every_state(harness)


async def hinted(harness: Harness) -> list[str]:
    async with harness.database.read() as connection:
        return list(await connection.scalars(select(hint.c.key).where(hint.c.ingestion_id == harness.ingestion_id)))


async def every_state(harness: Harness) -> set[str]:
    async with harness.database.read() as connection:
        return set(await connection.scalars(select(file.c.state).where(file.c.ingestion_id == harness.ingestion_id)))
