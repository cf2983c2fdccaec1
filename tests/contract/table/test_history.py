"""What a table remembers of an ingestion: the ledger is held against it before anything is published (I9)."""

import pytest

from libs.common.ids import IngestionId, new_batch_id, new_ingestion_id
from libs.common.ledger.model.batches import NO_SNAPSHOT
from services.executor.ports import History
from tests.contract.table.worlds import ID, World, burn, rows, stage

pytestmark = pytest.mark.contract


def a_batch(of: IngestionId) -> tuple[str, str]:
    """Its id, and its wap id."""
    batch_id = str(new_batch_id())
    return batch_id, f"al1:{of}:1:{batch_id}"


async def test_a_new_table_has_no_history(world: World) -> None:
    """And it reaches back to its beginning."""
    await world.one.create(ID)
    assert History(NO_SNAPSHOT) == await world.one.history(new_ingestion_id())
    assert await world.one.remembers(NO_SNAPSHOT)


async def test_published_batches_are_told_apart_from_staged_ones_and_burns(world: World) -> None:
    """However they came in, fast-forwarded or picked; those of other ingestions are not ours."""
    await world.one.create(ID)
    ingestion = new_ingestion_id()
    (one, wap_one), (two, wap_two), (_, wap_burned), (_, wap_staged) = (a_batch(ingestion) for _ in range(4))
    forwarded = await stage(world.one, [world.put("a.json", rows([1]))], wap_id=wap_one)
    picked = await stage(world.one, [world.put("b.json", rows([2]))], wap_id=wap_two)
    burning = await burn(world.one, wap_burned)
    lost = await stage(world.one, [world.put("c.json", rows([3]))], wap_id=wap_staged)
    foreign = await stage(world.one, [world.put("d.json", rows([4]))], wap_id=a_batch(new_ingestion_id())[1])
    for snapshot_id in (forwarded.snapshot_id, picked.snapshot_id, burning, foreign.snapshot_id):
        await world.one.publish(snapshot_id)
    history = await world.other.history(ingestion)
    assert frozenset({one, two}) == history.batches
    assert frozenset({picked.snapshot_id, burning, lost.snapshot_id}) == history.beside
    assert [1, 2, 4] == await world.ids()
    assert await world.other.remembers(history.current)


async def test_what_was_rolled_back_lies_beside(world: World) -> None:
    """Still in the table, no ancestor of its current snapshot, and not remembered."""
    await world.one.create(ID)
    ingestion = new_ingestion_id()
    (one, wap_one), (_, wap_two) = a_batch(ingestion), a_batch(ingestion)
    first = await stage(world.one, [world.put("a.json", rows([1]))], wap_id=wap_one)
    await world.one.publish(first.snapshot_id)
    second = await stage(world.one, [world.put("b.json", rows([2]))], wap_id=wap_two)
    await world.one.publish(second.snapshot_id)
    await world.roll_back(first.snapshot_id)
    expected = History(first.snapshot_id, frozenset({one}), frozenset({second.snapshot_id}))
    assert expected == await world.one.history(ingestion)
    assert not await world.one.remembers(second.snapshot_id)
    assert await world.one.remembers(NO_SNAPSHOT)


async def test_an_expired_past_is_not_remembered(world: World) -> None:
    """The rows stay, but who brought them is forgotten: the read-back alone proves nothing any more."""
    await world.one.create(ID)
    ingestion = new_ingestion_id()
    (_, wap_one), (two, wap_two) = a_batch(ingestion), a_batch(ingestion)
    first = await stage(world.one, [world.put("a.json", rows([1]))], wap_id=wap_one)
    await world.one.publish(first.snapshot_id)
    second = await stage(world.one, [world.put("b.json", rows([2]))], wap_id=wap_two)
    await world.one.publish(second.snapshot_id)
    await world.expire()
    assert [1, 2] == await world.ids()
    assert await world.other.published(wap_one) is None
    assert History(second.snapshot_id, frozenset({two})) == await world.one.history(ingestion)
    assert not await world.one.remembers(first.snapshot_id)
    assert not await world.one.remembers(NO_SNAPSHOT)
    assert await world.one.remembers(second.snapshot_id)


async def test_a_burn_stays_a_burn_when_its_source_is_expired(world: World) -> None:
    """A picked burn bears no mark of its own."""
    await world.one.create(ID)
    ingestion = new_ingestion_id()
    burning = await burn(world.one, a_batch(ingestion)[1])
    await world.append(100)
    await world.one.publish(burning)
    await world.expire()
    history = await world.one.history(ingestion)
    assert (frozenset(), frozenset()) == (history.batches, history.beside)
