"""A scanner dies, hangs or is stopped; another one goes on, and nobody can tell from the result."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from libs.common import failpoints
from libs.common.aside import CLOCK_SKEWED, Aside
from libs.common.contracts.events import RunFact, ScanStarted
from libs.common.errors import Fenced, Temporary
from libs.common.failpoints import FailpointReached
from libs.common.ids import RunId
from libs.common.ledger.model.scans import ScanClaim
from services.scanner.handlers import BUG_ATTEMPTS_MAX
from tests.integration.scanner.harness import BUCKET, Harness, PausingObjects, assert_each_once, names
from tests.support.clocks import behind_us, the_same_time
from tests.support.eventually import eventually

pytestmark = pytest.mark.integration
SHORT = timedelta(milliseconds=50)


async def finished(harness: Harness, run_id: RunId) -> list[RunFact]:
    """Loads the run's batches; all that can be said of a good end holds. Its facts."""
    await harness.load(run_id)
    facts = await harness.facts(run_id)
    assert list(range(1, len(facts) + 1)) == [fact.seq for fact in facts]
    totals = facts[-1].totals
    assert totals.files_discovered == totals.files_done + totals.files_failed
    assert totals.batches_planned == totals.batches_done
    return facts


@pytest.mark.parametrize("point", ["scan.mid_listing:1", "scan.mid_listing:2", "scan.mid_listing:3",
                                   "scan.after_page:1", "scan.after_page:2", "scan.after_page:3",
                                   "scan.before_done:1"])  # fmt: skip
async def test_a_listing_that_was_cut_is_begun_again_without_a_trace(harness: Harness, point: str) -> None:
    """Every file in one batch, every number as if nothing had happened (F04 to F06)."""
    harness.put(*names(10), "in/_odd.json", "in/readme.txt")
    run_id = await harness.new_run()
    failpoints.arm(f"{point}:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    await harness.scan(run_id)
    assert_each_once(names(10), await harness.batches(run_id))
    facts = await finished(harness, run_id)
    assert [1, 2] == [fact.attempt for fact in facts if isinstance(fact, ScanStarted)]
    totals = facts[-1].totals
    assert (11, 10, 1, 0) == (
        totals.files_discovered,
        totals.files_done,
        totals.files_failed,
        totals.files_skipped,
    )
    assert "partial" == await harness.outcome(run_id)


async def test_a_listing_that_is_cut_again_and_again_ends(harness: Harness) -> None:
    """As long as it gets one page further each time."""
    harness.put(*names(12))
    run_id = await harness.new_run()
    for page in (1, 2, 3):
        failpoints.arm(f"scan.after_page:{page}:raise")
        with pytest.raises(FailpointReached):
            await harness.scan(run_id)
    await harness.scan(run_id)
    assert_each_once(names(12), await harness.batches(run_id))
    await finished(harness, run_id)
    assert "success" == await harness.outcome(run_id)


async def test_what_changes_between_two_attempts_is_seen(harness: Harness) -> None:
    """Overwritten before anybody read it: the new version is loaded, and the key counts once."""
    harness.put(*names(5))
    run_id = await harness.new_run()
    failpoints.arm("scan.after_page:2:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    harness.put("in/03.json", "in/04.json", body=b'{"new": 1}\n')
    await harness.scan(run_id)
    assert [names(3), names(5)[3:]] == await harness.batches(run_id)
    await finished(harness, run_id)
    assert {
        **dict.fromkeys(names(3), "committed"),
        "in/03.json": "superseded, committed",
        "in/04.json": "superseded, committed",
    } == await harness.states()
    assert 5 == (await harness.totals(run_id)).files_discovered


async def test_a_vanished_scanner_is_replaced_by_a_sweep(harness: Harness) -> None:
    """When its lease is over; no message is needed (I5)."""
    harness.put(*names(5))
    run_id = await harness.new_run()
    assert await harness.ledger(SHORT).claim(run_id, harness.ingestion_id, 1) is not None
    sweeping = asyncio.create_task(harness.sweeper(harness.scans()).run())
    try:
        await eventually(lambda: harness.is_scanned(run_id))
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
    assert_each_once(names(5), await harness.batches(run_id))


async def test_a_scanner_that_hung_finds_itself_fenced(harness: Harness) -> None:
    """It wakes up in the middle of its listing, and whatever it does leaves nothing behind (F19)."""
    harness.put(*names(10))
    run_id = await harness.new_run()
    slow = PausingObjects(harness.objects)
    hung = asyncio.create_task(harness.scan(run_id, harness.scans(lease=SHORT, objects=slow)))
    await slow.is_pausing.wait()

    async def is_taken_over() -> bool:
        await harness.scan(run_id)
        return await harness.is_scanned(run_id)

    await eventually(is_taken_over)
    before = await harness.facts(run_id)
    slow.go_on.set()
    with pytest.raises(Fenced):
        await hung
    assert before == await harness.facts(run_id)
    assert_each_once(names(10), await harness.batches(run_id))
    await finished(harness, run_id)


async def test_a_heartbeat_stops_a_scanner_that_lost_its_run(harness: Harness) -> None:
    """It does not wait for the store to answer."""
    harness.put(*names(10))
    run_id = await harness.new_run()
    slow = PausingObjects(harness.objects)
    hung = asyncio.create_task(harness.scan(run_id, harness.scans(heartbeat=SHORT, lease=SHORT / 10, objects=slow)))
    await slow.is_pausing.wait()
    await eventually(lambda: harness.ledger().claim(run_id, harness.ingestion_id, 1))
    with pytest.raises(Fenced):
        await asyncio.wait_for(hung, 5)


async def test_a_heartbeat_keeps_a_slow_listing(harness: Harness) -> None:
    """However many leases long."""
    harness.put(*names(10))
    run_id, other = await harness.new_run(), await harness.new_run()
    slow = PausingObjects(harness.objects)
    listing = asyncio.create_task(harness.scan(run_id, harness.scans(lease=10 * SHORT, heartbeat=SHORT, objects=slow)))
    await slow.is_pausing.wait()
    # Another claim, later and as long, runs out: so much time has passed.
    assert await harness.ledger(12 * SHORT).claim(other, harness.ingestion_id, 1)
    await eventually(lambda: harness.ledger().claim(other, harness.ingestion_id, 1))
    assert await harness.ledger().claim(run_id, harness.ingestion_id, 1) is None
    slow.go_on.set()
    await listing
    assert 4 == (await harness.totals(run_id)).batches_planned


async def test_a_scanner_that_is_stopped_gives_its_run_back(harness: Harness) -> None:
    """The next one begins at once."""
    harness.put(*names(10))
    run_id = await harness.new_run()
    slow = PausingObjects(harness.objects)
    listing = asyncio.create_task(harness.scan(run_id, harness.scans(objects=slow)))
    await slow.is_pausing.wait()
    listing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listing
    await harness.scan(run_id)
    assert_each_once(names(10), await harness.batches(run_id))


async def test_one_request_to_many_scanners_is_one_listing(harness: Harness) -> None:
    """Delivered to ten at once, and three times after (F21)."""
    harness.put(*names(10))
    run_id = await harness.new_run()
    await asyncio.gather(*(harness.scan(run_id) for _ in range(10)))
    for _ in range(3):
        await harness.scan(run_id)
    assert_each_once(names(10), await harness.batches(run_id))
    assert [1] == [fact.attempt for fact in await harness.facts(run_id) if isinstance(fact, ScanStarted)]


async def test_runs_that_overlap_share_the_files(harness: Harness) -> None:
    """It should not happen; if it does, each file is in one batch all the same, and both runs come to their end."""
    harness.put(*names(12))
    runs = [await harness.new_run() for _ in range(3)]

    async def scan(run_id: RunId) -> None:
        with suppress(Fenced):
            await harness.scan(run_id, harness.scans(lease=SHORT))

    await asyncio.gather(*map(scan, runs))

    async def all_scanned() -> bool:
        await asyncio.gather(*map(scan, runs))
        return all([await harness.is_scanned(run_id) for run_id in runs])

    await eventually(all_scanned)
    assert_each_once(names(12), [keys for r in runs for keys in await harness.batches(r)])
    for run_id in runs:
        await harness.load(run_id)
        assert "success" == await harness.outcome(run_id)


def skewed(page: int) -> None:
    """What the store says to a listing that is signed by a wrong clock."""
    raise Temporary("the clock is wrong", code=CLOCK_SKEWED, hint="set it right")


async def test_whose_clock_is_wrong_leaves_the_listing_to_another(harness: Harness) -> None:
    """It lists once, and not again as long as it stands aside; then somebody else does (F49)."""
    harness.put(*names(3))
    run_id = await harness.new_run()
    harness.objects.on_page = skewed
    wrong = harness.scans(aside=Aside(timedelta(minutes=1), behind_us(timedelta(hours=1))))
    for _ in range(3):
        with pytest.raises(Temporary, match="clock"):
            await wrong.on_run_requested(harness.request(run_id))
    harness.objects.on_page = None
    await harness.scan(run_id)
    assert_each_once(names(3), await harness.batches(run_id))
    facts = await finished(harness, run_id)
    assert [1, 2] == [fact.attempt for fact in facts if isinstance(fact, ScanStarted)]


async def test_a_store_whose_clock_is_wrong_ends_the_run_at_once(harness: Harness) -> None:
    """Ours agrees with the database's: nobody would do better (F49)."""
    harness.put(*names(3))
    run_id = await harness.new_run()
    harness.objects.on_page = skewed
    await harness.scan(run_id)
    assert "failed" == await harness.outcome(run_id)
    assert [CLOCK_SKEWED] == [p.error_type for p in await harness.problems(run_id)]


async def test_a_bug_ends_its_run_and_nothing_else(harness: Harness) -> None:
    """It is tried again a few times; then the user hears of it, and the sweeper and the other runs live on."""
    harness.put(*names(3))
    broken = Harness(harness.database)

    def bug(page: int) -> None:
        raise RuntimeError("a bug")

    broken.objects.on_page = bug
    bad_run, good_run = await broken.new_run(), await harness.new_run()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a bug"):
            await broken.scan(bad_run)
    await harness.ledger().release(await _claim(harness, good_run))
    both = _Both({bad_run: broken, good_run: harness})
    sweeping = asyncio.create_task(harness.sweeper(both).run())  # type: ignore[arg-type]
    try:
        await eventually(lambda: broken.outcome(bad_run))
        await eventually(lambda: harness.is_scanned(good_run))
        assert not sweeping.done()
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
    assert "failed" == await broken.outcome(bad_run)
    assert ["internal_error"] == [p.error_type for p in await broken.problems(bad_run)]
    attempts = [fact.attempt for fact in await broken.facts(bad_run) if isinstance(fact, ScanStarted)]
    assert list(range(1, BUG_ATTEMPTS_MAX + 1)) == attempts
    assert [names(3)] == await harness.batches(good_run)


async def _claim(harness: Harness, run_id: RunId) -> ScanClaim:
    claim = await harness.ledger().claim(run_id, harness.ingestion_id, 1)
    assert claim is not None
    return claim


class _Both:
    """Scans of two ingestions, each with its store."""

    def __init__(self, by_run: dict[RunId, Harness]) -> None:
        self._by_run = by_run
        self.aside = Aside(timedelta(), the_same_time)

    async def scan(self, run_id: RunId, ingestion_id: object, generation: int) -> None:
        if run_id in self._by_run:  # other tests of this module may have left some
            await self._by_run[run_id].scan(run_id)


async def test_a_file_that_vanishes_between_two_attempts_is_not_waited_for(harness: Harness) -> None:
    """The run ends with the others, and tells of it: as it does when an executor finds a file gone."""
    harness.put(*names(4))
    run_id = await harness.new_run()
    failpoints.arm("scan.before_done:raise")
    with pytest.raises(FailpointReached):
        await harness.scan(run_id)
    harness.objects.delete(BUCKET, "in/03.json")
    await harness.scan(run_id)
    await harness.load(run_id)
    assert "partial" == await harness.outcome(run_id)
    totals = await harness.totals(run_id)
    assert (4, 3, 1) == (totals.files_discovered, totals.files_done, totals.files_failed)
