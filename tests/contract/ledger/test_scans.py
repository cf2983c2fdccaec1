"""What a scanner may rely on: one listing at a time per run, all or nothing per page, totals that close."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.common.contracts.events import Problem, RunCompleted, ScanFailed, ScanProgress, ScanStarted, Totals
from libs.common.errors import Fenced
from libs.common.ledger.model.batches import BurnVerdict, Fate, PastBatch, PublishedBatch
from libs.common.ledger.model.files import KnownVersion, Refusal
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.states import FileState
from tests.contract.ledger.worlds import (
    LONG,
    SHORT,
    Order,
    World,
    batch_of,
    claimed,
    facts,
    new_order,
    planned,
    scanned,
    states,
    version,
    versions,
)
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract
GONE = Problem(error_type="bucket_not_found", message="there is no such bucket")
ODD = Problem(error_type="unreadable_key", message="its name is odd")


async def claimable(world: World, *, requested_before: timedelta = LONG) -> list[Order]:
    found = await world.scanner().claimable(requested_before=requested_before, limit=1000)
    return [Order(*run) for run in found]


# --- claims -----------------------------------------------------------------------------------------------------


async def test_one_scanner_gets_a_run_however_many_ask(world: World) -> None:
    """The request was delivered ten times, to ten scanners."""
    order = new_order()
    asked = [world.scanner(owner=f"s{n}").claim(order.run_id, order.ingestion_id, 1) for n in range(10)]
    won = [claim for claim in await asyncio.gather(*asked) if claim is not None]
    assert 1 == len(won)
    assert [1] == [f.attempt for f in await facts(world, order) if isinstance(f, ScanStarted)]


async def test_runs_do_not_stand_in_each_others_way(world: World) -> None:
    """A claim is of one run."""
    assert await claimed(world, new_order()) != await claimed(world, new_order())


async def test_a_silent_scanner_is_replaced_when_its_lease_ends(world: World) -> None:
    """The successor has a higher token, and says that it is the second."""
    order = new_order()
    first = await world.scanner(SHORT).claim(order.run_id, order.ingestion_id, 1)
    second = await eventually(lambda: world.scanner().claim(order.run_id, order.ingestion_id, 1))
    assert first is not None
    assert (first.token + 1, 2) == (second.token, second.attempt)
    assert [1, 2] == [f.attempt for f in await facts(world, order) if isinstance(f, ScanStarted)]


async def test_a_heartbeat_gives_a_full_lease(world: World) -> None:
    """The lease that was claimed is over, and nobody gets the run."""
    order = new_order()
    claim = await world.scanner(SHORT).claim(order.run_id, order.ingestion_id, 1)
    assert claim is not None
    await world.scanner().extend(claim)
    # Another run with a lease as short, claimed later, is free: so much time has passed.
    other = new_order()
    assert await world.scanner(SHORT).claim(other.run_id, other.ingestion_id, 1)
    assert await eventually(lambda: world.scanner().claim(other.run_id, other.ingestion_id, 1))
    assert await world.scanner().claim(order.run_id, order.ingestion_id, 1) is None


@pytest.mark.parametrize("call", ["extend", "record", "complete", "break_off"])
async def test_a_scanner_that_was_replaced_writes_nothing(world: World, call: str) -> None:
    """Neither files, nor batches, nor events."""
    order = new_order()
    zombie = await claimed(world, order)
    await world.scanner().release(zombie)
    await claimed(world, order)
    before = await facts(world, order)
    files = versions("a", "b")
    page = Page(taken=files, batches=(batch_of(*files),))
    calls = {
        "extend": lambda: world.scanner().extend(zombie),
        "record": lambda: world.scanner().record(zombie, page),
        "complete": lambda: world.scanner().complete(zombie, page, ()),
        "break_off": lambda: world.scanner().break_off(zombie, GONE),
    }
    with pytest.raises(Fenced):
        await calls[call]()
    assert {} == await states(world, order)
    assert (before, []) == (await facts(world, order), await planned(world, order))


async def test_a_run_that_is_given_back_is_free_at_once(world: World) -> None:
    """A scanner that is stopped makes nobody wait for its lease."""
    order = new_order()
    claim = await claimed(world, order)
    await world.scanner().release(claim)
    assert await world.scanner().claim(order.run_id, order.ingestion_id, 1) is not None


async def test_a_late_give_back_does_not_disturb_the_successor(world: World) -> None:
    """The token guards it."""
    order = new_order()
    zombie = await claimed(world, order)
    await world.scanner().release(zombie)
    await claimed(world, order)
    await world.scanner().release(zombie)
    assert await world.scanner().claim(order.run_id, order.ingestion_id, 1) is None


@pytest.mark.parametrize("end", ["scanned", "broken", "ended"])
async def test_a_listing_that_is_over_is_not_begun_again(world: World, end: str) -> None:
    """However late the request comes once more."""
    order = new_order()
    claim = await claimed(world, order)
    if end != "ended":
        files = versions("a")
        await world.scanner().record(claim, Page(taken=files, batches=(batch_of(*files),)))
    if end == "broken":
        await world.scanner().break_off(claim, GONE)
    else:
        await world.scanner().complete(claim, Page(), ())
    assert await world.scanner().claim(order.run_id, order.ingestion_id, 1) is None
    assert order not in await claimable(world)


async def test_a_heartbeat_that_crosses_the_end_of_its_own_listing_is_no_alarm(world: World) -> None:
    """The claim was not lost: it was used up."""
    order = new_order()
    claim = await claimed(world, order)
    await world.scanner().complete(claim, Page(), ())
    await world.scanner().extend(claim)
    with pytest.raises(Fenced):
        await world.scanner().extend(replace(claim, token=claim.token - 1))


async def test_listings_that_nobody_works_on_are_found(world: World) -> None:
    """Left by a crash or given back; those that are held, or over, are not. Oldest first."""
    expired, released, held, over = [new_order() for _ in range(4)]
    await world.scanner(timedelta(0)).claim(expired.run_id, expired.ingestion_id, 1)
    await world.scanner().release(await claimed(world, released))
    await claimed(world, held)
    await world.scanner().complete(await claimed(world, over), Page(), ())

    async def both_are_found() -> bool:
        found = await claimable(world)
        assert held not in found
        assert over not in found
        return [expired, released] == [order for order in found if order in (expired, released)]

    await eventually(both_are_found)
    assert 1 == len(await world.scanner().claimable(requested_before=LONG, limit=1))


async def test_runs_that_nobody_began_are_found(world: World) -> None:
    """Their request is lost, or waits in Kafka for a scanner that died. Not those that were asked for just now, nor
    those that wait for another run, have ended, or were begun."""
    asked, queued, ended, begun = [new_order() for _ in range(4)]
    for order in (asked, ended, begun):
        await world.ask(order)
    await world.ask(queued, is_dispatched=False)
    await world.end(ended)
    await claimed(world, begun)

    async def is_found() -> bool:
        found = await claimable(world, requested_before=SHORT)
        assert not {queued, ended, begun} & set(found)
        return asked in found

    await eventually(is_found)
    assert asked not in await claimable(world, requested_before=LONG)


# --- pages ------------------------------------------------------------------------------------------------------


async def test_a_page_is_remembered(world: World) -> None:
    """Taken files are discovered, files of a batch are batched; the rest of the world is unknown."""
    order = new_order()
    claim = await claimed(world, order)
    a, b, c = versions("a", "b", "c")
    batch = batch_of(a)
    await world.scanner().record(claim, Page(taken=(a, b), batches=(batch,), files_skipped=7))
    assert {"a": FileState.BATCHED, "b": FileState.DISCOVERED} == await states(world, order)
    known = await world.scanner().known(claim, (a, b, c))
    assert {
        a.digest: (KnownVersion("v1:10", FileState.BATCHED, order.run_id),),
        b.digest: (KnownVersion("v1:10", FileState.DISCOVERED, order.run_id),),
    } == known
    assert [batch.id] == await planned(world, order)
    assert Totals(files_discovered=2, files_skipped=7, batches_planned=1) == (await facts(world, order))[-1].totals


async def test_asking_for_nothing_knows_nothing(world: World) -> None:
    """A page without a matching file."""
    assert {} == await world.scanner().known(await claimed(world, new_order()), ())


async def test_generations_and_ingestions_know_nothing_of_each_other(world: World) -> None:
    """The same key is new to each."""
    order = new_order()
    await world.scanner().record(await claimed(world, order), Page(taken=versions("a")))
    await world.begin_generation(order.ingestion_id, 2)
    for other in (replace(order.next_run(), generation=2), new_order()):
        claim = await claimed(world, other)
        assert {} == await world.scanner().known(claim, versions("a"))
        await world.scanner().record(claim, Page(taken=versions("a")))


async def test_keys_that_failed_are_told_in_pages(world: World) -> None:
    """Each once, in the order of their bytes, and none of another ingestion. To the run that found them, also what it
    has not batched yet."""
    order = new_order()
    mine, other = await claimed(world, order), await claimed(world, new_order())
    refused = tuple(Refusal(f, ODD) for f in versions("b", "a", "ä", "Z"))
    await world.scanner().record(mine, Page(taken=versions("fine"), refused=refused))
    await world.scanner().record(other, Page(refused=(Refusal(version("c"), ODD),)))
    later = await claimed(world, order.next_run())
    first = await world.scanner().failed_keys(later, after=None, limit=3)
    rest = await world.scanner().failed_keys(later, after=first[-1], limit=3)
    assert (["Z", "a", "b"], ["ä"]) == (first, rest)
    assert ["Z", "a", "b", "fine", "ä"] == await world.scanner().failed_keys(mine, after=None, limit=9)


async def test_what_a_run_has_taken_is_counted(world: World) -> None:
    """In batches or set aside; not what waits for a batch, and not what other runs took."""
    order = new_order()
    claim = await claimed(world, order)
    a, b, c = versions("a", "b", "c")
    await world.scanner().record(claim, Page(taken=(a, b), refused=(Refusal(c, ODD),), batches=(batch_of(a),)))
    assert (2, 20) == await world.scanner().taken(claim)
    assert (0, 0) == await world.scanner().taken(await claimed(world, new_order()))


async def test_what_another_run_has_found_and_lists_on_is_held(world: World) -> None:
    """It is about to be in one of its batches. Once that run has listed everything, it is free."""
    order = new_order()
    first, second = await claimed(world, order), await claimed(world, order.next_run())
    a = version("a")
    await world.scanner().record(first, Page(taken=(a,)))
    [seen] = (await world.scanner().known(second, (a,)))[a.digest]
    [own] = (await world.scanner().known(first, (a,)))[a.digest]
    assert (True, False) == (seen.held, own.held)
    await world.scanner().break_off(first, GONE)
    [later] = (await world.scanner().known(second, (a,)))[a.digest]
    assert not later.held


async def test_a_file_that_another_run_holds_cannot_be_taken(world: World) -> None:
    """It was free when somebody looked. The page is refused whole, and counts nothing."""
    order = new_order()
    first, second = await claimed(world, order), await claimed(world, other := order.next_run())
    a, b = versions("a", "b")
    await world.scanner().record(first, Page(taken=(a,)))
    with pytest.raises(Fenced):
        await world.scanner().record(second, Page(taken=(a, b)))
    assert {"a": FileState.DISCOVERED} == await states(world, order)
    assert 0 == (await facts(world, other))[-1].totals.files_discovered
    await world.scanner().complete(first, Page(batches=(batch_of(a),)), ())


async def test_a_large_page_is_one_transaction(world: World) -> None:
    """More rows than one statement takes."""
    order = new_order()
    files = versions(*(f"k{n:04}" for n in range(2500)))
    claim = await claimed(world, order)
    await world.scanner().record(claim, Page(taken=files, batches=(batch_of(*files),)))
    assert 2500 == len(await world.scanner().known(claim, files))
    claim_of_batch = await world.executor().claim((await planned(world, order))[0])
    assert claim_of_batch is not None
    assert files == await world.executor().files(claim_of_batch)


async def test_a_version_that_nobody_read_gives_way_to_the_next(world: World) -> None:
    """And the key is still one file that the run found."""
    order = new_order()
    claim = await claimed(world, order)
    old, new = version("a", "v1"), version("a", "v2")
    await world.scanner().record(claim, Page(taken=(old,)))
    page = Page(taken=(new,), superseded=(new.digest,), batches=(batch_of(new),))
    await world.scanner().record(claim, page)
    assert {"a@v1:10": FileState.SUPERSEDED, "a@v2:10": FileState.BATCHED} == await states(world, order)
    assert 1 == (await facts(world, order))[-1].totals.files_discovered


async def test_a_version_that_an_earlier_run_left_counts_for_the_next(world: World) -> None:
    """Each run's numbers are its own."""
    first, old, new = new_order(), version("a", "v1"), version("a", "v2")
    await world.scanner().record(await claimed(world, first), Page(taken=(old,)))
    second = first.next_run()
    page = Page(taken=(new,), superseded=(new.digest,))
    await world.scanner().record(await claimed(world, second), page)
    assert [1, 1] == [(await facts(world, o))[-1].totals.files_discovered for o in (first, second)]


async def test_a_file_that_a_later_attempt_does_not_list_is_missing(world: World) -> None:
    """It was deleted while its scanner was dead: the run says so, instead of forgetting that it found the file."""
    order = new_order()
    first = await claimed(world, order)
    await world.scanner().record(first, Page(taken=versions("gone", "here")))
    await world.scanner().release(first)
    second = await claimed(world, order)
    await world.scanner().complete(second, Page(batches=(batch_of(*versions("here")),)), ())
    assert {"gone": FileState.MISSING, "here": FileState.BATCHED} == await states(world, order)
    *_, progress, completed = await facts(world, order)
    assert isinstance(progress, ScanProgress)
    assert [("file_missing", "s3://landing/gone")] == [(p.error_type, p.file) for p in progress.problems]
    assert (2, 1) == (completed.totals.files_discovered, completed.totals.files_failed)


async def test_a_file_that_an_earlier_run_left_is_not_missing_in_the_next(world: World) -> None:
    """Neither is one that was given up in this run, and waits for the next: both were told."""
    order = new_order()
    [batch_id] = await scanned(world, order, versions("left"))
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    await world.executor().burned(claim, BurnVerdict({versions("left")[0].digest: Fate(FileState.DISCOVERED)}, GONE))
    following = order.next_run()
    await world.scanner().release(await claimed(world, following))
    await world.scanner().complete(await claimed(world, following), Page(), ())
    assert {"left": FileState.DISCOVERED} == await states(world, order)


async def test_refused_files_are_failed_with_their_reason(world: World) -> None:
    """All in the ledger, the first fifty in the event."""
    order = new_order()
    refused = tuple(Refusal(f, ODD) for f in versions(*(f"_{n:02}" for n in range(60))))
    await world.scanner().record(await claimed(world, order), Page(refused=refused))
    rows = await world.files(order.ingestion_id)
    assert 60 * [(FileState.FAILED, "unreadable_key")] == [(r.state, r.error_type) for r in rows]
    progress = (await facts(world, order))[-1]
    assert isinstance(progress, ScanProgress)
    assert (50, 60, 60) == (len(progress.problems), progress.totals.files_discovered, progress.totals.files_failed)


async def test_a_key_with_a_nul_can_be_refused(world: World) -> None:
    """S3 allows it, Postgres does not: one such object must not stop a listing."""
    order = new_order()
    claim = await claimed(world, order)
    odd, twin = versions("a\0b", "a\\0b")
    await world.scanner().record(claim, Page(refused=(Refusal(odd, ODD.model_copy(update={"message": odd.uri})),)))
    await world.scanner().record(claim, Page(taken=(twin,)))
    known = await world.scanner().known(claim, (odd, twin))
    assert [FileState.FAILED, FileState.DISCOVERED] == [known[f.digest][0].state for f in (odd, twin)]


async def test_skipped_files_are_a_count_so_far(world: World) -> None:
    """It never falls, whatever a second listing of the run counts."""
    order = new_order()
    claim = await claimed(world, order)
    for skipped, expected in ((3, 3), (5, 5), (2, 5)):
        await world.scanner().record(claim, Page(files_skipped=skipped))
        assert expected == (await facts(world, order))[-1].totals.files_skipped


@pytest.mark.parametrize("etag", ["v1", "v2"])
async def test_a_file_in_work_is_never_taken_again(world: World, etag: str) -> None:
    """Not even by a scanner that looked before it was batched: the write is guarded, and leaves nothing behind."""
    order = new_order()
    await scanned(world, order, versions("a"))
    late = order.next_run()
    claim = await claimed(world, late)
    before = await facts(world, late)
    with pytest.raises(Fenced):
        await world.scanner().record(claim, Page(taken=(version("b"), version("a", etag))))
    assert {"a": FileState.BATCHED} == await states(world, order)
    assert before == await facts(world, late)


async def test_a_batch_of_files_that_are_not_there_is_not_planned(world: World) -> None:
    """Somebody else moved one of them."""
    order = new_order()
    claim = await claimed(world, order)
    await world.scanner().record(claim, Page(taken=versions("a")))
    with pytest.raises(Fenced):
        await world.scanner().record(claim, Page(batches=(batch_of(*versions("a", "b")),)))
    assert {"a": FileState.DISCOVERED} == await states(world, order)
    assert [] == await planned(world, order)


async def test_a_file_that_comes_back_leaves_its_old_trouble_behind(world: World) -> None:
    """Missing yesterday, there today: the reason of yesterday does not stick to it."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    burn = await world.executor().claim(batch_id)
    assert burn is not None
    gone = Problem(error_type="file_missing", message="it was gone")
    await world.executor().burned(burn, BurnVerdict({version("a").digest: Fate(FileState.MISSING, gone)}))
    assert ["file_missing"] == [f.error_type for f in await world.files(order.ingestion_id)]
    await scanned(world, order.next_run(), versions("a"))
    assert [(FileState.BATCHED, None)] == [(f.state, f.error_type) for f in await world.files(order.ingestion_id)]


# --- the end of a listing ---------------------------------------------------------------------------------------


async def outcomes(world: World, claim: ScanClaim) -> list[str]:
    return [m.outcome for m in await world.messages() if isinstance(m, RunCompleted) and m.run_id == claim.run_id]


async def test_a_run_with_nothing_to_load_ends_with_its_listing(world: World) -> None:
    """Nobody else would end it."""
    claim = await claimed(world, new_order())
    await world.scanner().complete(claim, Page(files_skipped=4), ("nothing new",))
    assert ["success"] == await outcomes(world, claim)


async def test_a_run_with_batches_waits_for_them(world: World) -> None:
    """The last page may bring the last batch."""
    order = new_order()
    claim = await claimed(world, order)
    files = versions("a")
    await world.scanner().record(claim, Page(taken=files))
    await world.scanner().complete(claim, Page(batches=(batch_of(*files),)), ())
    assert [] == await outcomes(world, claim)


@pytest.mark.parametrize(("loads", "expected"), [(False, "failed"), (True, "partial")])
async def test_a_listing_that_breaks_off_is_told(world: World, loads: bool, expected: str) -> None:
    """Batches that were planned before go on; without any, the run is over."""
    order, files = new_order(), versions("a")
    claim = await claimed(world, order)
    if loads:
        await world.scanner().record(claim, Page(taken=files, batches=(batch_of(*files),)))
    await world.scanner().break_off(claim, GONE)
    assert [GONE] == [f.problem for f in await facts(world, order) if isinstance(f, ScanFailed)]
    if loads:
        assert [] == await outcomes(world, claim)
        work = await world.executor().claim((await planned(world, order))[0])
        assert work is not None
        await world.executor().published(work, PublishedBatch(1, 1, ()))
    assert [expected] == await outcomes(world, claim)


async def test_refused_files_alone_make_a_run_fail(world: World) -> None:
    """There was something to load, and nothing was."""
    claim = await claimed(world, new_order())
    await world.scanner().record(claim, Page(refused=(Refusal(version("_a"), ODD),)))
    await world.scanner().complete(claim, Page(), ())
    assert ["failed"] == await outcomes(world, claim)


async def test_a_scanner_is_told_how_long_batches_took(world: World) -> None:
    """Those of its ingestion that were published, and took a while; the latest first."""
    order, other = new_order(), new_order()
    for each in (order, other):
        await world.ask(each)
    batches = await scanned(world, order, versions("a", "b"), versions("c"), versions("d"), versions("e"))
    [foreign] = await scanned(world, other, versions("f"))
    for batch_id in [*batches[:3], foreign]:
        work = await world.executor().claim(batch_id)
        assert work is not None
        await world.executor().published(work, PublishedBatch(1, 1, ()))
    for batch_id, took_s in [(batches[0], 100), (batches[1], 9), (batches[2], 10), (foreign, 100)]:
        await world.make_last(batch_id, timedelta(seconds=took_s))
    claim = await claimed(world, order.next_run())
    past = await world.scanner().past_batches(claim, at_least=timedelta(seconds=10))
    assert [PastBatch(1, 10, 10), PastBatch(2, 20, 100)] == past
