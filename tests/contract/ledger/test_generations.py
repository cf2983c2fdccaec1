"""A refresh begins a new generation: from then on nothing of an older one is planned or becomes visible (I6)."""

from dataclasses import replace

import pytest

from libs.common.errors import Fenced
from libs.common.ledger.model.batches import BurnVerdict, Fate, PublishedBatch
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import BatchState, FileState
from tests.contract.ledger.worlds import SHORT, World, batch_of, claimed, new_order, scanned, versions
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract


async def test_a_batch_of_an_older_generation_is_never_published(world: World) -> None:
    """Its executor was about to; the guard right before the publish tells it."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    await world.begin_generation(order.ingestion_id, 2)
    with pytest.raises(Fenced):
        await world.executor().publishing(claim, 7)
    assert BatchState.LEASED == await world.batch_state(batch_id)


async def test_a_batch_of_an_older_generation_can_still_be_ended(world: World) -> None:
    """A refresh burns what was under way; and what was published before it began is recorded as such."""
    order = new_order()
    first, second = await scanned(world, order, versions("a"), versions("b"))
    one, other = await world.executor().claim(first), await world.executor().claim(second)
    assert one is not None
    assert other is not None
    await world.executor().publishing(one, 7)
    await world.begin_generation(order.ingestion_id, 2)
    await world.executor().published(one, PublishedBatch(7, 500, ()))
    gone = {f.digest: Fate(FileState.DISCOVERED) for f in versions("b")}
    await world.executor().burned(other, BurnVerdict(gone))
    assert BatchState.PUBLISHED == await world.batch_state(first)
    assert BatchState.BURNED == await world.batch_state(second)


async def test_good_files_of_an_older_generation_do_not_go_on(world: World) -> None:
    """A new batch of it would be planned in vain; whoever ends the generation burns the old one whole."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    await world.begin_generation(order.ingestion_id, 2)
    with pytest.raises(Fenced):
        await world.executor().burned(claim, BurnVerdict())


async def test_a_listing_of_an_older_generation_plans_nothing(world: World) -> None:
    """Neither does it begin."""
    order = new_order()
    claim = await claimed(world, order)
    await world.begin_generation(order.ingestion_id, 2)
    page = Page(taken=versions("a"), batches=(batch_of(*versions("a")),))
    with pytest.raises(Fenced):
        await world.scanner().record(claim, page)
    late = order.next_run()
    with pytest.raises(Fenced):
        await world.scanner().claim(late.run_id, late.ingestion_id, 1)
    assert [] == await world.files(order.ingestion_id)


async def test_a_sweep_does_not_find_what_a_refresh_has_outlived(world: World) -> None:
    """No claim of it would succeed, and it would stand before the others for as long as the refresh takes."""
    asked, begun = new_order(), new_order()
    await world.ask(asked)
    await world.scanner().release(await claimed(world, begun))

    async def found() -> set[object]:
        return {run[0] for run in await world.scanner().claimable(requested_before=SHORT, limit=1000)}

    async def both_are_found() -> bool:
        return {asked.run_id, begun.run_id} <= await found()

    await eventually(both_are_found)
    for order in (asked, begun):
        await world.begin_generation(order.ingestion_id, 2)
    assert not {asked.run_id, begun.run_id} & await found()


async def test_generations_only_move_on(world: World) -> None:
    """The same again is the same refresh, going on after a crash."""
    order = new_order()
    await claimed(world, order)
    await world.begin_generation(order.ingestion_id, 2)
    await world.begin_generation(order.ingestion_id, 2)
    with pytest.raises(Fenced):
        await world.begin_generation(order.ingestion_id, 1)
    await claimed(world, replace(order.next_run(), generation=2))
