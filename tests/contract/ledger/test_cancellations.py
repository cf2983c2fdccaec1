"""Cancelling a run: whatever it was doing, it ends, and every file of it is either in the table or waits."""

import asyncio

import pytest

from libs.common.contracts.events import FileBatchFailed, Problem, RunCompleted, ScanFailed, Totals
from libs.common.errors import Fenced
from libs.common.ledger.model.batches import BurnVerdict, Fate, PublishedBatch
from libs.common.ledger.model.files import KnownVersion
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import BatchState, FileState
from tests.contract.ledger.worlds import (
    LONG,
    Order,
    World,
    batch_of,
    claimed,
    facts,
    new_order,
    planned,
    scanned,
    states,
    versions,
)

pytestmark = pytest.mark.contract
PUBLISHED = PublishedBatch(7, 100, ())


async def end_of(world: World, order: Order) -> tuple[str, Totals]:
    """How the run ended. It has, and once."""
    told = await facts(world, order)
    assert list(range(1, len(told) + 1)) == [fact.seq for fact in told]
    assert [told[-1]] == [fact for fact in told if isinstance(fact, RunCompleted)]
    end = told[-1]
    assert isinstance(end, RunCompleted)
    return end.outcome, end.totals


async def test_a_run_that_nobody_began_ends_at_once(world: World) -> None:
    """And nobody begins it any more, however late its request comes."""
    order = new_order()
    await world.ask(order)
    assert await world.cancel(order)
    assert ("cancelled", Totals()) == await end_of(world, order)
    assert await world.scanner().claim(order.run_id, order.ingestion_id, 1) is None
    found = await world.scanner().claimable(requested_before=LONG, limit=1000)
    assert order.run_id not in [run_id for run_id, _, _ in found]


async def test_a_listing_that_is_under_way_is_stopped(world: World) -> None:
    """Its scanner writes nothing more; what it found and did not plan is found by the next run."""
    order = new_order()
    claim = await claimed(world, order)
    a, b = versions("a", "b")
    await world.scanner().record(claim, Page(taken=(a, b), batches=(batch_of(a),)))
    assert await world.cancel(order)
    with pytest.raises(Fenced):
        await world.scanner().complete(claim, Page(batches=(batch_of(b),)), ())
    outcome, totals = await end_of(world, order)
    assert ("cancelled", 1, 1) == (outcome, totals.batches_planned, totals.batches_done)
    assert {"a": FileState.DISCOVERED, "b": FileState.DISCOVERED} == await states(world, order)
    assert ["run_cancelled"] == [f.problem.error_type for f in await facts(world, order) if isinstance(f, ScanFailed)]


async def test_batches_that_nobody_staged_are_burned_at_once(world: World) -> None:
    """No executor is needed; one that had claimed a batch is fenced before it can stage."""
    order = new_order()
    waiting, taken = await scanned(world, order, versions("a", "b"), versions("c"))
    claim = await world.executor().claim(taken)
    assert claim is not None
    assert await world.cancel(order)
    assert [BatchState.BURNED] * 2 == [await world.batch_state(b) for b in (waiting, taken)]
    with pytest.raises(Fenced):
        await world.executor().about_to_stage(claim)
    outcome, totals = await end_of(world, order)
    assert ("cancelled", 3, 3, 2) == (outcome, totals.files_discovered, totals.files_failed, totals.batches_done)
    told = [f for f in await facts(world, order) if isinstance(f, FileBatchFailed)]
    assert [(2, 0), (1, 0)] == [
        (f.files_failed, f.files_replanned) for f in sorted(told, key=lambda f: -f.files_failed)
    ]


async def test_a_batch_that_may_be_staged_waits_for_an_executor_to_burn_it(world: World) -> None:
    """Only the table knows whether it was published. Its files do not go on in this run."""
    order = new_order()
    [batch_id] = await scanned(world, order, versions("a", "b"))
    zombie = await world.executor().claim(batch_id)
    assert zombie is not None
    await world.executor().about_to_stage(zombie)
    assert await world.cancel(order)
    with pytest.raises(Fenced):
        await world.executor().publishing(zombie, 1)
    assert [batch_id, batch_id] == await planned(world, order)  # an executor is woken
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    standing = await world.executor().standing(claim)
    assert (BatchState.BURNING, True) == (standing.state, standing.may_be_staged)
    await world.executor().burned(claim, BurnVerdict())
    outcome, totals = await end_of(world, order)
    assert ("cancelled", 2, 1, 1) == (outcome, totals.files_failed, totals.batches_planned, totals.batches_done)
    assert {"a": FileState.DISCOVERED, "b": FileState.DISCOVERED} == await states(world, order)
    assert ["run_cancelled"] * 2 == [f.error_type for f in await world.files(order.ingestion_id)]


async def test_what_was_published_before_stays(world: World) -> None:
    """The executor that came to burn finds it in the table."""
    order = new_order()
    done, late = await scanned(world, order, versions("a"), versions("b"))
    first = await world.executor().claim(done)
    assert first is not None
    await world.executor().published(first, PUBLISHED)
    second = await world.executor().claim(late)
    assert second is not None
    await world.executor().about_to_stage(second)
    await world.executor().publishing(second, 1)
    assert await world.cancel(order)
    burner = await world.executor().claim(late)
    assert burner is not None
    await world.executor().published(burner, PUBLISHED)
    outcome, totals = await end_of(world, order)
    assert ("cancelled", 2, 0) == (outcome, totals.files_done, totals.files_failed)
    assert {FileState.COMMITTED} == set((await states(world, order)).values())


async def test_files_with_a_fate_of_their_own_keep_it(world: World) -> None:
    """A broken file of a batch that burns after the cancelling is failed, with its reason; the others wait."""
    order = new_order()
    a, b = versions("a", "b")
    [batch_id] = await scanned(world, order, (a, b))
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    await world.executor().about_to_stage(claim)
    await world.cancel(order)
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    broken = Fate(FileState.FAILED, Problem(error_type="unparsable_file", message="line 1"))
    await world.executor().burned(claim, BurnVerdict({a.digest: broken}))
    assert {"a": FileState.FAILED, "b": FileState.DISCOVERED} == await states(world, order)
    assert ("cancelled", 2) == ((await end_of(world, order))[0], (await end_of(world, order))[1].files_failed)


async def test_the_next_run_takes_what_waits(world: World) -> None:
    """To the next listing it is known, and given up by the run that was cancelled."""
    order = new_order()
    [a] = files = versions("a")
    await scanned(world, order, files)
    await world.cancel(order)
    following = order.next_run()
    claim = await claimed(world, following)
    known = await world.scanner().known(claim, files)
    assert {a.digest: (KnownVersion("v1:10", FileState.DISCOVERED, order.run_id, given_up=True),)} == known
    await world.scanner().record(claim, Page(taken=files, batches=(batch_of(a),)))
    assert {"a": FileState.BATCHED} == await states(world, order)


@pytest.mark.parametrize("is_over", [False, True])
async def test_cancelling_again_or_too_late_changes_nothing(world: World, is_over: bool) -> None:
    """The run ends once, as it did."""
    order = new_order()
    [batch_id] = await scanned(world, order, versions("a"))
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    await world.executor().about_to_stage(claim)
    if is_over:
        await world.executor().published(claim, PUBLISHED)
    else:
        assert await world.cancel(order)
    before = await facts(world, order)
    assert not await world.cancel(order)
    assert before == await facts(world, order)


async def test_cancelling_while_batches_end_loses_count_of_none(world: World) -> None:
    """Executors finish their batches at the same time; each file is committed, or waits."""
    order = new_order()
    batches = await scanned(world, order, *[versions(str(n)) for n in range(8)])
    claims = [claim for b in batches if (claim := await world.executor().claim(b)) is not None]

    async def publish(claim: object) -> None:
        await world.executor().published(claim, PUBLISHED)  # type: ignore[arg-type]

    ended = await asyncio.gather(*map(publish, claims), world.cancel(order), return_exceptions=True)
    assert not [e for e in ended if isinstance(e, BaseException) and not isinstance(e, Fenced)], ended
    _, totals = await end_of(world, order)
    assert (8, 8) == (totals.files_done + totals.files_failed, totals.batches_done)
    kept = list((await states(world, order)).values())
    assert totals.files_done == kept.count(FileState.COMMITTED)
    assert totals.files_failed == kept.count(FileState.DISCOVERED)
