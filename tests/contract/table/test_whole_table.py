"""All rows of a table are replaced at once: unseen until the publish, once, and by nobody who comes late."""

from dataclasses import dataclass

import pytest

from libs.common.errors import AutoloaderError
from libs.common.ledger.model.batches import NO_SNAPSHOT
from libs.common.schema import Array, Field, Struct
from services.executor.domain.places import next_location
from services.executor.domain.schema_change import Addition
from services.executor.ports import Copy
from services.executor.whole_table_ports import RowsOf, WholeTable
from tests.contract.table.worlds import ID, World, a_wap_id, again, aside, lines, load, stage

pytestmark = pytest.mark.contract


@dataclass
class Begun:
    """A table with the rows 1 and 2, another one with 7, 8 and 9, and the name under which those may take its place."""

    world: World
    wap_id: str
    built: RowsOf

    async def stage(self, whole: WholeTable | None = None) -> Copy:
        return await (whole or self.world.whole).stage(self.built, self.wap_id, {})


async def built_aside(world: World, *ids: int) -> RowsOf:
    """The rows of another table, which has these, or none."""
    table = await world.place.look()
    assert table is not None
    await world.place.create(table.schema, table.layout, next_location(table.location, 2), aside(world))
    if ids:
        # It is loaded under the destination's name: a world's tables are holds on that one.
        await world.place.rename(None, again(world))
        await world.place.rename(aside(world), None)
        await load(world, *ids)
        await world.place.rename(None, aside(world))
        await world.place.rename(again(world), None)
    return RowsOf(await world.whole.current(aside(world)), aside(world))


async def begun(world: World) -> Begun:
    await world.one.create(ID)
    await load(world, 1, 2)
    return Begun(world, a_wap_id(), await built_aside(world, 7, 8, 9))


async def test_all_rows_give_way_to_others_in_one_step(world: World) -> None:
    """Nobody sees the new ones before the publish, nor the old ones after it."""
    of = await begun(world)
    before = await world.whole.current()
    copy = await of.stage()
    assert before == copy.parent_id
    assert [1, 2] == await world.ids()
    assert (3, 2) == (await world.whole.count(RowsOf(copy.snapshot_id)), await world.whole.count(RowsOf(before)))
    await world.one.publish(copy.snapshot_id)
    assert [7, 8, 9] == await world.ids()
    found = await world.other.published(of.wap_id)
    assert found is not None
    assert (copy.snapshot_id, False) == (found.snapshot_id, found.is_burn)
    assert before == await world.other_whole.parent(found.snapshot_id)
    await load(world, 4)
    assert [4, 7, 8, 9] == await world.ids()


async def test_a_copy_that_comes_late_is_refused(world: World) -> None:
    """Two executors staged one each, and one of them published; the other wakes up then, and once more later, when the
    table has grown."""
    of = await begun(world)
    mine, late = await of.stage(), await of.stage(world.other_whole)
    await world.one.publish(mine.snapshot_id)
    for _ in range(2):
        for copy in (late, mine):
            with pytest.raises(AutoloaderError):
                await world.other.publish(copy.snapshot_id)
        await load(world, 4)
    assert [4, 4, 7, 8, 9] == await world.ids()


async def test_a_copy_is_good_for_one_state_of_the_table(world: World) -> None:
    """Somebody committed meanwhile: the copy does not know those rows, and is refused. Staged again, it is taken."""
    of = await begun(world)
    copy = await of.stage()
    await world.append(3)
    with pytest.raises(AutoloaderError):
        await world.one.publish(copy.snapshot_id)
    assert [1, 2, 3] == await world.ids()
    await world.one.publish((await of.stage()).snapshot_id)
    assert [7, 8, 9] == await world.ids()


async def test_nothing_may_take_the_place_of_rows(world: World) -> None:
    """Whatever was built is empty, or the table itself is: the publish is known by its name all the same."""
    await world.one.create(ID)
    nothing = await built_aside(world)
    assert NO_SNAPSHOT == nothing.snapshot_id
    wap_id, second = a_wap_id(), a_wap_id()
    await world.one.publish((await world.whole.stage(nothing, wap_id, {})).snapshot_id)
    found = await world.one.published(wap_id)
    assert found is not None
    assert NO_SNAPSHOT == await world.whole.parent(found.snapshot_id)
    await load(world, 1, 2)
    await world.one.publish((await world.whole.stage(nothing, second, {})).snapshot_id)
    assert [] == await world.ids()
    assert await world.one.published(second) is not None


async def test_the_old_rows_come_back_from_the_snapshot_that_has_them(world: World) -> None:
    """In the columns of today: what the table got since is null in them, at any depth."""
    deep = Struct((Field("id", "bigint"), Field("s", Struct((Field("x", "bigint"),))), Field("l", Array(Struct()))))
    shape = Struct((*deep.fields[:2], Field("l", Array(Struct((Field("x", "bigint"),))))))
    await world.one.create(shape)
    staged = await stage(
        world.one, [world.put("deep.json", lines({"id": 1, "s": {"x": 1}, "l": [{"x": 2}]}, {"id": 2}))], shape
    )
    await world.one.publish(staged.snapshot_id)
    before = await world.whole.current()
    await world.one.add([Addition(("later",), "string"), Addition(("s", "y"), "string"),
                         Addition(("l", "element", "y"), "string")])  # fmt: skip
    await world.append(5)
    wap_id = a_wap_id()
    copy = await world.whole.stage(RowsOf(before), wap_id, {})
    await world.one.publish(copy.snapshot_id)
    assert [(1, None), (2, None)] == await world.records("id", "later")
    assert await world.whole.has(before)
    await world.expire()
    assert not await world.whole.has(before)
    assert await world.whole.has(NO_SNAPSHOT)


async def test_what_was_built_is_dropped_once(world: World) -> None:
    """A drop that comes again finds nothing, and the table that took the rows keeps them."""
    of = await begun(world)
    await world.one.publish((await of.stage()).snapshot_id)
    for _ in range(2):
        await world.place.drop(aside(world))
        assert await world.other_place.look(aside(world)) is None
    assert [7, 8, 9] == await world.ids()
    assert await world.whole.can_stage()
