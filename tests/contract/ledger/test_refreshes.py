"""The ledger's side of a refresh: who may work on it, and what each phase leaves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.common.contracts.events import (
    FileBatchFailed,
    Problem,
    RefreshMode,
    RefreshTable,
    RunCompleted,
    ScanFailed,
    TableRefreshed,
    TableRefreshFailed,
)
from libs.common.errors import Fenced
from libs.common.ids import RefreshId, new_refresh_id
from libs.common.ledger.model.batches import BurnVerdict, Fate, PublishedBatch
from libs.common.ledger.model.refreshes import KeptTable, RefreshClaim
from libs.common.ledger.states import BatchState, FileState
from tests.contract.ledger.worlds import Order, World, claimed, facts, new_order, scanned, versions

pytestmark = pytest.mark.contract

AWAY = Problem(error_type="spark_unreachable", message="Spark is away")


def command(order: Order, mode: RefreshMode = "full") -> RefreshTable:
    return RefreshTable(
        refresh_id=new_refresh_id(), ingestion_id=order.ingestion_id, mode=mode, from_generation=1, to_generation=2
    )


async def begun(world: World, order: Order, mode: RefreshMode = "full") -> RefreshClaim:
    asked = command(order, mode)
    await world.refresher().remember(asked)
    claim = await world.refresher().claim(RefreshId(asked.refresh_id))
    assert claim is not None
    return claim


async def told(world: World, order: Order) -> Sequence[TableRefreshed | TableRefreshFailed]:
    kinds = TableRefreshed | TableRefreshFailed
    return [m for m in await world.messages() if isinstance(m, kinds) and m.ingestion_id == order.ingestion_id]


async def test_one_executor_at_a_time_works_on_a_refresh(world: World) -> None:
    """Its lease ends, another goes on, and the first one can write nothing more."""
    order = new_order()
    asked = command(order)
    short = world.refresher(lease=timedelta(seconds=-1))
    await short.remember(asked)
    first = await short.claim(RefreshId(asked.refresh_id))
    assert first is not None
    second = await world.refresher().claim(first.id)
    assert second is not None
    assert (2, 2) == (second.token, second.attempt)
    assert await world.refresher().claim(first.id) is None
    for write in (short.fence, short.carry_history, short.end, short.phase):
        with pytest.raises(Fenced):
            await write(first)
    await claimed(world, order)  # the fence did not take hold: the old generation still begins scans


async def test_what_was_under_way_is_taken_away_and_its_run_is_cancelled(world: World) -> None:
    """Also from an executor whose lease still runs: it is fenced, whatever it does next."""
    order = new_order()
    done, held = await scanned(world, order, versions("a"), versions("b"))
    one, other = await world.executor().claim(done), await world.executor().claim(held)
    assert one is not None
    assert other is not None
    await world.executor().published(one, PublishedBatch(7, 500, ()))
    claim = await begun(world, order)
    await world.refresher().fence(claim)
    await world.refresher().break_off_scans(claim)
    taken = await world.refresher().seize(claim)
    assert taken is not None
    assert held == taken.id
    with pytest.raises(Fenced):
        await world.executor().about_to_stage(other)
    verdict = BurnVerdict({f.digest: Fate(FileState.DISCOVERED) for f in versions("b")}, claim.reason)
    await world.executor().burned(taken, verdict)
    assert await world.refresher().seize(claim) is None
    assert BatchState.PUBLISHED == await world.batch_state(done)
    *_, failed, end = await facts(world, order)
    assert isinstance(failed, FileBatchFailed)
    assert ["refreshed"] == [p.error_type for p in failed.problems[:1]]
    assert isinstance(end, RunCompleted)
    assert "cancelled" == end.outcome


async def test_a_listing_that_was_under_way_is_broken_off(world: World) -> None:
    """Its scanner is fenced, and its run ends at once: no batch was planned."""
    order = new_order()
    scan = await claimed(world, order)
    claim = await begun(world, order)
    await world.refresher().fence(claim)
    await world.refresher().break_off_scans(claim)
    await world.refresher().break_off_scans(claim)
    with pytest.raises(Fenced):
        await world.scanner().extend(scan)
    *_, broken, end = await facts(world, order)
    assert isinstance(broken, ScanFailed)
    assert "refreshed" == broken.problem.error_type
    assert isinstance(end, RunCompleted)
    assert "cancelled" == end.outcome


@pytest.mark.parametrize(("mode", "kept"), [("full", 0), ("new_only", 1)])
async def test_only_a_new_only_refresh_carries_history(world: World, mode: RefreshMode, kept: int) -> None:
    """What was loaded is the new generation's baseline; what failed is not. Twice is the same as once."""
    order = new_order()
    one, other = await scanned(world, order, versions("loaded"), versions("bad"))
    claims = [await world.executor().claim(batch_id) for batch_id in (one, other)]
    assert claims[0] is not None
    assert claims[1] is not None
    await world.executor().published(claims[0], PublishedBatch(7, 500, ()))
    await world.executor().burned(claims[1], BurnVerdict({f.digest: Fate(FileState.FAILED) for f in versions("bad")}))
    claim = await begun(world, order, mode)
    await world.refresher().fence(claim)
    await world.refresher().carry_history(claim)
    await world.refresher().carry_history(claim)
    newer = replace(order.next_run(), generation=2)
    known = await world.scanner().known(await claimed(world, newer), versions("loaded", "bad"))
    assert [FileState.BASELINE] * kept == [v.state for found in known.values() for v in found]
    await world.refresher().end(claim)
    [end] = await told(world, order)
    assert isinstance(end, TableRefreshed)
    assert (1, kept) == (end.files_loaded_before, end.files_kept)


async def test_an_undo_brings_the_history_of_the_old_table_back(world: World) -> None:
    """Whole: what was loaded, and what failed. What only the newer table had is not loaded any more. Twice is as
    good as once."""
    order = new_order()
    one, other = await scanned(world, order, versions("loaded"), versions("bad"))
    claims = [await world.executor().claim(batch_id) for batch_id in (one, other)]
    assert claims[0] is not None
    assert claims[1] is not None
    await world.executor().published(claims[0], PublishedBatch(7, 500, ()))
    await world.executor().burned(claims[1], BurnVerdict({f.digest: Fate(FileState.FAILED) for f in versions("bad")}))
    refresh = await begun(world, order)
    await world.refresher().fence(refresh)
    await world.refresher().reached(refresh, "dropped", kept_as="lake.demo.t__g1_x", metadata_location="s3://m.json")
    await world.refresher().end(refresh)
    newer = replace(order.next_run(), generation=2)
    [third] = await scanned(world, newer, versions("loaded", "newer"))
    claim = await world.executor().claim(third)
    assert claim is not None
    await world.executor().published(claim, PublishedBatch(8, 500, ()))

    asked = RefreshTable(
        refresh_id=new_refresh_id(), ingestion_id=order.ingestion_id, mode="undo", from_generation=2, to_generation=3,
        undoes=refresh.id,
    )  # fmt: skip
    await world.refresher().remember(asked)
    undo = await world.refresher().claim(RefreshId(asked.refresh_id))
    assert undo is not None
    assert KeptTable("t__g1_x", 1, "s3://m.json") == undo.kept
    await world.refresher().fence(undo)
    await world.refresher().carry_history(undo)
    await world.refresher().carry_history(undo)
    await world.refresher().end(undo)

    newest = replace(order.next_run(), generation=3)
    scan = await claimed(world, newest)
    known = await world.scanner().known(scan, versions("loaded", "bad", "newer"))
    assert {FileState.COMMITTED, FileState.FAILED} == {v.state for found in known.values() for v in found}
    assert await world.executor().has_published(order.ingestion_id, 3)
    assert not await world.executor().has_published(order.ingestion_id, 1)
    end = (await told(world, order))[-1]
    assert isinstance(end, TableRefreshed)
    assert (2, 1) == (end.files_loaded_before, end.files_kept)


async def test_a_refresh_that_fails_before_the_fence_is_over(world: World) -> None:
    """Nothing was changed; its end is told again when its command comes again."""
    order = new_order()
    asked = command(order)
    await world.refresher().remember(asked)
    claim = await world.refresher().claim(RefreshId(asked.refresh_id))
    assert claim is not None
    await world.refresher().tell(claim, AWAY)
    await world.refresher().remember(asked)
    assert [("requested", True, "spark_unreachable")] * 2 == [
        (t.phase, t.is_over, t.problem.error_type)
        for t in await told(world, order)
        if isinstance(t, TableRefreshFailed)
    ]
    assert await world.refresher().claim(claim.id) is None
    await claimed(world, order)


async def test_a_refresh_that_fails_after_the_fence_says_so_once_and_goes_on(world: World) -> None:
    """There is no way back: it is tried until it succeeds, and its end is told again when its command comes again."""
    order = new_order()
    asked = command(order)
    await world.refresher().remember(asked)
    claim = await world.refresher().claim(RefreshId(asked.refresh_id))
    assert claim is not None
    await world.refresher().fence(claim)
    await world.refresher().tell(claim, AWAY)
    await world.refresher().tell(claim, AWAY)
    await world.refresher().end(claim)
    await world.refresher().remember(asked)
    failed, end, again = await told(world, order)
    assert isinstance(failed, TableRefreshFailed)
    assert ("fenced", False) == (failed.phase, failed.is_over)
    assert isinstance(end, TableRefreshed)
    assert end.model_copy(update={"occurred_at": None}) == again.model_copy(update={"occurred_at": None})


async def test_what_nobody_works_on_can_be_claimed(world: World) -> None:
    """A lease that ended, or one that was given back; not what ended."""
    order = new_order()
    claim = await begun(world, order)
    assert claim.id not in await world.refresher().claimable(limit=100)
    await world.refresher().release(claim)
    assert claim.id in await world.refresher().claimable(limit=100)
    again = await world.refresher().claim(claim.id)
    assert again is not None
    await world.refresher().end(again)
    assert claim.id not in await world.refresher().claimable(limit=100)
