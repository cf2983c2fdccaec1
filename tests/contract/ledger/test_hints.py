"""What notifications named stays until a scan has looked at it, and what was noticed meanwhile stays longer."""

import asyncio

import pytest

from libs.common.errors import Fenced
from libs.common.ledger.model.hints import Hint
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.states import FileState
from tests.contract.ledger.worlds import SHORT, Order, World, batch_of, claimed, new_order, states, version
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract


async def notice(world: World, order: Order, *keys: str) -> None:
    await world.hints().add([Hint(order.ingestion_id, "landing", key, 10) for key in keys])


async def keys(world: World, claim: ScanClaim, *, after: int = 0, limit: int = 100) -> list[str]:
    through = await world.scanner().newest_hint(claim)
    return [h.key for h in await world.scanner().hinted_keys(claim, after=after, through=through, limit=limit)]


async def test_hints_are_read_in_the_order_in_which_they_came(world: World) -> None:
    """Page by page, each once; another ingestion's are its own."""
    order = new_order()
    await notice(world, order, "c", "a")
    await notice(world, order, "b")
    await notice(world, new_order(), "theirs")
    claim = await claimed(world, order)
    through = await world.scanner().newest_hint(claim)
    first = await world.scanner().hinted_keys(claim, after=0, through=through, limit=2)
    rest = await world.scanner().hinted_keys(claim, after=first[-1].seq, through=through, limit=2)
    assert ["c", "a", "b"] == [h.key for h in (*first, *rest)]


async def test_without_any_hint_there_is_nothing_to_look_at(world: World) -> None:
    """An ingestion that nobody ever told of."""
    claim = await claimed(world, new_order())
    assert 0 == await world.scanner().newest_hint(claim)
    assert [] == await keys(world, claim)


async def test_a_key_that_is_noticed_twice_is_one_hint(world: World) -> None:
    """In one delivery or in two."""
    order = new_order()
    await notice(world, order, "a", "a")
    await notice(world, order, "b", "a")
    assert ["b", "a"] == await keys(world, await claimed(world, order))


async def test_a_scan_removes_what_it_has_looked_at(world: World) -> None:
    """In the transaction that ends it, with its files."""
    order = new_order()
    await notice(world, order, "a", "b")
    claim = await claimed(world, order)
    through = await world.scanner().newest_hint(claim)
    f = version("a")
    await world.scanner().record(claim, Page(taken=(f,)))
    assert ["a", "b"] == await keys(world, claim)
    await world.scanner().complete(claim, Page(batches=(batch_of(f),), hints_through=through), ())
    assert [] == await keys(world, claim)
    assert {"a": FileState.BATCHED} == await states(world, order)


async def test_what_is_noticed_during_a_scan_stays(world: World) -> None:
    """A new key, and one that the scan has just looked at: it was written again since."""
    order = new_order()
    await notice(world, order, "a", "b")
    claim = await claimed(world, order)
    through = await world.scanner().newest_hint(claim)
    await notice(world, order, "a", "new")
    await world.scanner().complete(claim, Page(hints_through=through), ())
    assert ["a", "new"] == await keys(world, claim)


async def test_a_scan_that_lost_its_claim_removes_nothing(world: World) -> None:
    """Its successor has to look at all of it."""
    order = new_order()
    await notice(world, order, "a")
    zombie = await world.scanner(SHORT).claim(order.run_id, order.ingestion_id, 1)
    assert zombie is not None
    claim = await eventually(lambda: world.scanner().claim(order.run_id, order.ingestion_id, 1))
    with pytest.raises(Fenced):
        await world.scanner().complete(zombie, Page(hints_through=1), ())
    assert ["a"] == await keys(world, claim)


async def test_takers_do_not_wait_for_each_other_in_a_circle(world: World) -> None:
    """Many at once, for the same ingestions and keys in other orders, while a scan ends: all of it is there."""
    orders = [new_order() for _ in range(3)]
    claim = await claimed(world, orders[0])
    hints = [Hint(order.ingestion_id, "landing", f"k{n}") for order in orders for n in range(20)]
    ends = world.scanner().complete(claim, Page(hints_through=1), ())
    await asyncio.gather(ends, *(world.hints().add(hints[n:] + hints[:n]) for n in range(0, 60, 6)))
    for order in orders[1:]:
        assert {f"k{n}" for n in range(20)} == set(await keys(world, await claimed(world, order)))


async def test_files_are_known_to_be_noticed(world: World) -> None:
    """So that what a listing finds is not blamed on notifications that came."""
    order = new_order()
    await notice(world, order, "told")
    claim = await claimed(world, order)
    told, untold = version("told"), version("untold")
    assert {told.digest} == await world.scanner().noticed(claim, [told, untold])
    assert set() == await world.scanner().noticed(claim, [])


async def test_what_was_found_and_not_batched_waits(world: World) -> None:
    """Whichever run found it."""
    order = new_order()
    claim = await claimed(world, order)
    f, other = version("b"), version("a")
    await world.scanner().record(claim, Page(taken=(f, other, version("c")), batches=(batch_of(version("c")),)))
    later = await claimed(world, order.next_run())
    assert ["a"] == await world.scanner().waiting_keys(later, after=None, limit=1)
    assert ["b"] == await world.scanner().waiting_keys(later, after="a", limit=10)


async def test_a_key_that_could_not_be_taken_yet_is_noticed_anew(world: World) -> None:
    """An earlier version of it was in work; the others are removed as ever."""
    order = new_order()
    await notice(world, order, "a", "b", "c")
    claim = await claimed(world, order)
    through = await world.scanner().newest_hint(claim)
    last = Page(hints_through=through, hints_kept=(version("b").digest, version("never noticed").digest))
    await world.scanner().complete(claim, last, ())
    assert ["b"] == await keys(world, claim)
