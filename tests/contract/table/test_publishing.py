"""Staging, publishing, burning: a wap id enters a table's ancestry once, whoever tries, and the table can be asked."""

import pytest

from libs.common.errors import AutoloaderError
from services.executor.ports import Published
from tests.contract.table.worlds import ID, World, a_wap_id, burn, load, rows, stage

pytestmark = pytest.mark.contract


async def test_a_table_that_is_not_there_has_no_schema_and_holds_nothing(world: World) -> None:
    """None is an answer, not an error; also when its database is missing."""
    assert await world.one.schema() is None
    assert await world.one.published(a_wap_id()) is None


async def test_who_comes_second_to_create_finds_the_first_ones_table(world: World) -> None:
    """Two executors meet a new table at the same moment."""
    assert ID == await world.one.create(ID)
    assert ID == await world.other.create(ID)
    assert ID == await world.other.schema()
    assert [("id", "bigint")] == [(c.name, c.type) for c in await world.one.columns()]


async def test_what_is_staged_is_seen_by_nobody(world: World) -> None:
    """Neither by readers nor by the read-back."""
    await world.one.create(ID)
    wap_id = a_wap_id()
    staged = await stage(world.one, [world.put("a.json", rows(range(3)))], wap_id=wap_id)
    assert 3 == staged.added_records
    assert [] == await world.ids()
    assert await world.other.published(wap_id) is None


async def test_what_is_published_is_seen_by_all(world: World) -> None:
    """On top of the snapshot that it was staged on: a fast-forward, the snapshot itself becomes current."""
    await world.one.create(ID)
    wap_id = a_wap_id()
    staged = await stage(world.one, [world.put("a.json", rows(range(3)))], wap_id=wap_id)
    await world.one.publish(staged.snapshot_id)
    assert [0, 1, 2] == await world.ids()
    found = await world.other.published(wap_id)
    assert found is not None
    assert (staged.snapshot_id, False, True) == (found.snapshot_id, found.is_burn, found.bytes_written > 0)


async def test_a_foreign_append_in_between_is_kept(world: World) -> None:
    """Then the publish is a pick: another snapshot, found under the same wap id."""
    await world.one.create(ID)
    wap_id = a_wap_id()
    staged = await stage(world.one, [world.put("a.json", rows(range(3)))], wap_id=wap_id)
    await world.append(100)
    await world.one.publish(staged.snapshot_id)
    assert [0, 1, 2, 100] == await world.ids()
    found = await world.other.published(wap_id)
    assert found is not None
    assert (False, False) == (found.is_burn, found.snapshot_id == staged.snapshot_id)


@pytest.mark.parametrize("foreign", [False, True])
async def test_a_second_publish_is_refused(world: World, foreign: bool) -> None:
    """The same staged snapshot, by anybody, fast-forwarded or picked, at once or later."""
    await world.one.create(ID)
    staged = await stage(world.one, [world.put("a.json", rows(range(3)))])
    if foreign:
        await world.append(100)
    await world.one.publish(staged.snapshot_id)
    await load(world, 50)
    for table in (world.one, world.other):
        with pytest.raises(AutoloaderError):
            await table.publish(staged.snapshot_id)
    assert sorted([0, 1, 2, 50] + [100] * foreign) == await world.ids()


async def test_a_batch_that_was_staged_twice_is_published_once(world: World) -> None:
    """Two executors staged the same batch: one copy enters, the other is refused for good."""
    await world.one.create(ID)
    wap_id, file = a_wap_id(), world.put("a.json", rows(range(3)))
    first = await stage(world.one, [file], wap_id=wap_id)
    second = await stage(world.other, [file], wap_id=wap_id)
    await world.other.publish(second.snapshot_id)
    with pytest.raises(AutoloaderError):
        await world.one.publish(first.snapshot_id)
    third = await stage(world.one, [file], wap_id=wap_id)
    with pytest.raises(AutoloaderError):
        await world.one.publish(third.snapshot_id)
    assert [0, 1, 2] == await world.ids()
    assert await world.one.published(wap_id) == await world.other.published(wap_id)


async def test_batches_do_not_stand_in_each_others_way(world: World) -> None:
    """Staged side by side on one snapshot, published one after the other."""
    await world.one.create(ID)
    waps = [a_wap_id() for _ in range(3)]
    staged = [
        await stage(world.one, [world.put(f"{n}.json", rows([n]))], wap_id=wap_id) for n, wap_id in enumerate(waps)
    ]
    for one in reversed(staged):
        await world.one.publish(one.snapshot_id)
    assert [0, 1, 2] == await world.ids()
    assert all([await world.one.published(wap_id) for wap_id in waps])


@pytest.mark.parametrize("foreign", [False, True])
async def test_a_burn_shuts_the_data_out(world: World, foreign: bool) -> None:
    """An empty snapshot under the wap id: from then on the staged rows can never be published."""
    await world.one.create(ID)
    wap_id = a_wap_id()
    staged = await stage(world.one, [world.put("a.json", rows(range(3)))], wap_id=wap_id)
    burning = await burn(world.other, wap_id)
    if foreign:
        await world.append(100)
    await world.other.publish(burning)
    with pytest.raises(AutoloaderError):
        await world.one.publish(staged.snapshot_id)
    assert [100] * foreign == await world.ids()
    found = await world.one.published(wap_id)
    assert found is not None
    assert found.is_burn


@pytest.mark.parametrize("foreign", [False, True])
async def test_a_burn_that_comes_too_late_is_refused(world: World, foreign: bool) -> None:
    """The data was faster, and the read-back says so."""
    await world.one.create(ID)
    wap_id = a_wap_id()
    staged = await stage(world.one, [world.put("a.json", rows(range(3)))], wap_id=wap_id)
    burning = await burn(world.other, wap_id)
    if foreign:
        await world.append(100)
    await world.one.publish(staged.snapshot_id)
    with pytest.raises(AutoloaderError):
        await world.other.publish(burning)
    assert [0, 1, 2] + [100] * foreign == await world.ids()
    found = await world.other.published(wap_id)
    assert found is not None
    assert not found.is_burn


async def test_what_was_never_staged_cannot_be_published(world: World) -> None:
    """A snapshot that expired, or of another table."""
    await world.one.create(ID)
    with pytest.raises(AutoloaderError):
        await world.one.publish(4711)
    assert [] == await world.ids()


async def test_a_batch_without_rows_is_published_like_any_other(world: World) -> None:
    """Empty files and blank lines: data, not a burn."""
    await world.one.create(ID)
    wap_id = a_wap_id()
    staged = await stage(world.one, [world.put("a.json", b""), world.put("b.json", b"\n\n")], wap_id=wap_id)
    await world.one.publish(staged.snapshot_id)
    assert Published(staged.snapshot_id, False, 0) == await world.one.published(wap_id)
