"""The name under which a table stands: taken once, and by a table with a folder of its own; and what an executor of the
old table can still do to the new one."""

from collections.abc import Awaitable, Callable

import pytest

from libs.common.errors import AutoloaderError, Permanent
from libs.common.ids import new_ingestion_id
from libs.common.ledger.model.batches import NO_SNAPSHOT
from libs.common.schema import Field, Struct
from services.executor.domain.layout import PLAIN
from services.executor.domain.places import HOLDS_A_NAME, next_location
from services.executor.domain.schema_change import Addition
from tests.contract.table.worlds import ID, World, a_wap_id, again, aside, burn, load, rows, stage

pytestmark = pytest.mark.contract


async def begun_anew(world: World) -> None:
    """The table is moved aside, and an empty one takes its place."""
    before = await world.place.look()
    assert before is not None
    await world.place.rename(None, aside(world))
    await world.place.create(before.schema, before.layout, next_location(before.location, 2))


async def test_a_table_is_moved_aside_once(world: World) -> None:
    """A second time, by a process that was frozen in between, would take the new table away: it is refused."""
    name = aside(world)
    assert await world.place.look() is None
    with pytest.raises(Permanent):
        await world.place.rename(None, name)
    await world.one.create(ID)
    await world.append(1, 2)
    before = await world.other_place.look()
    assert before is not None
    await world.place.rename(None, name)
    assert await world.place.look() is None
    assert before == await world.other_place.look(name)
    await world.place.create(before.schema, before.layout, next_location(before.location, 2))
    with pytest.raises(Permanent):
        await world.other_place.rename(None, name)
    new = await world.other_place.look()
    assert new is not None
    assert (ID, f"{before.location}-g2") == (new.schema, new.location)
    assert [] == await world.ids()
    assert [1, 2] == await world.ids(name)


async def test_a_table_that_was_moved_aside_comes_back_whole(world: World) -> None:
    """Its rows, its folder and its history: what was published in it is known, and can be published in it once."""
    await world.one.create(ID)
    await load(world, 1, 2)
    wap_id = a_wap_id()
    staged = await stage(world.one, [world.put("late.json", rows([3]))], wap_id=wap_id)
    await world.one.publish(await burn(world.other, wap_id))
    before = await world.place.look()
    assert before is not None
    await begun_anew(world)
    await load(world, 9)
    await world.place.rename(None, again(world))
    await world.place.rename(aside(world), None)
    back = await world.other_place.look()
    assert back is not None
    assert (before.schema, before.location) == (back.schema, back.location)
    assert [1, 2] == await world.ids()
    assert [9] == await world.ids(again(world))
    with pytest.raises(AutoloaderError):
        await world.one.publish(staged.snapshot_id)
    await load(world, 4)
    assert [1, 2, 4] == await world.ids()


async def test_a_name_can_be_held_by_a_table_without_rows(world: World) -> None:
    """As long as it is there, nothing gets that name."""
    await world.one.create(ID)
    await world.place.create(HOLDS_A_NAME, PLAIN, None, aside(world))
    await world.other_place.create(HOLDS_A_NAME, PLAIN, None, aside(world))
    held = await world.place.look(aside(world))
    assert held is not None
    assert HOLDS_A_NAME == held.schema
    with pytest.raises(Permanent):
        await world.place.rename(None, aside(world))
    assert await world.place.look() is not None


async def test_a_new_table_is_ready_for_staging_and_never_replaces_one(world: World) -> None:
    """Somebody else may have been faster."""
    where = f"s3://test-lakehouse/warehouse/contract/{world.to.table}-g7"
    await world.place.create(ID, PLAIN, where)
    await world.other_place.create(Struct((Field("other", "string"),)), PLAIN, where)
    found = await world.place.look()
    assert found is not None
    assert ID == found.schema
    staged = await stage(world.one, [world.put("a.json", rows([1]))])
    assert [] == await world.ids()
    await world.one.publish(staged.snapshot_id)
    assert [1] == await world.ids()


async def test_what_was_staged_in_the_old_table_cannot_be_published_in_the_new_one(world: World) -> None:
    """A snapshot id is one table's (I6); neither does the old table, under its other name, get the rows."""
    await world.one.create(ID)
    await load(world, 1)
    wap_id, burned = a_wap_id(), a_wap_id()
    staged = await stage(world.one, [world.put("late.json", rows([2]))], wap_id=wap_id)
    burning = await burn(world.one, burned)
    await begun_anew(world)
    await load(world, 3)
    for snapshot_id in (staged.snapshot_id, burning):
        with pytest.raises(AutoloaderError):
            await world.one.publish(snapshot_id)
    assert await world.one.published(wap_id) is None
    assert [3] == await world.ids()
    assert [1] == await world.ids(aside(world))


async def test_a_table_that_is_gone_takes_nothing(world: World) -> None:
    """Between two tables a late executor meets a name without a table: each call says so as an error of ours."""
    await world.one.create(ID)
    file = world.put("late.json", rows([1]))
    staged = await stage(world.one, [file])
    await world.place.rename(None, aside(world))
    late: list[Callable[[], Awaitable[object]]] = [
        world.one.columns,
        lambda: world.one.add([Addition(("new",), "string")]),
        lambda: stage(world.one, [file]),
        lambda: burn(world.one, a_wap_id()),
        lambda: world.one.publish(staged.snapshot_id),
        lambda: world.one.history(new_ingestion_id()),
        lambda: world.one.remembers(NO_SNAPSHOT),
    ]
    for call in late:
        with pytest.raises(AutoloaderError):
            await call()
    assert await world.one.schema() is None
    assert await world.place.look() is None
