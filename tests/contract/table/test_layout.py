"""How a table lies in storage, beside its columns: made so, seen so, and left so by who comes second."""

from dataclasses import replace

import pytest

from libs.common.contracts.partitioning import parse_all
from libs.common.schema import Field, Struct
from services.executor.domain.layout import Layout
from services.executor.domain.places import next_location
from tests.contract.table.worlds import ID, World, aside, load

pytestmark = pytest.mark.contract

TIMED = Struct((Field("id", "bigint", required=True), Field("ts", "timestamp"), Field("a b", "string")))
LAYOUT = Layout(
    parts=("days(ts)", "bucket(4, id)", "truncate(2, `a b`)"),
    order=("`id` DESC NULLS LAST", "bucket(8, `a b`) ASC NULLS FIRST"),
    identifiers=("`id`",),
    properties={"format-version": "2", "mine": 'it\'s \\ "ü"'},
    comment="it's ours",
)


async def test_a_table_is_made_with_its_partitions_once(world: World) -> None:
    """Who comes second, with other wishes, gets the first one's."""
    await world.one.create(TIMED, Layout(parts=("days(`ts`)", "`a b`")))
    await world.other.create(TIMED, Layout(parts=("id",)))
    found = await world.place.look()
    assert found is not None
    assert parse_all(["days(ts)", "`a b`"]) == parse_all(found.layout.parts)


async def test_nothing_is_said_of_a_table_that_was_made_plainly(world: World) -> None:
    """So that a refresh carries nothing that nobody asked for."""
    await world.one.create(ID)
    found = await world.place.look()
    assert found is not None
    assert ((), (), (), "") == (
        found.layout.parts,
        found.layout.order,
        found.layout.identifiers,
        found.layout.comment,
    )
    assert "autoloader.partitioning" not in found.layout.properties


async def test_what_was_seen_of_a_table_makes_one_that_looks_the_same(world: World) -> None:
    """That is what a refresh does; in a folder of its own, and with what people said of the table."""
    await world.place.create(TIMED, LAYOUT)
    old = await world.place.look()
    assert old is not None
    assert LAYOUT.properties.items() <= old.layout.properties.items()
    assert replace(LAYOUT, properties=old.layout.properties) == old.layout
    await world.place.rename(None, aside(world))
    await world.place.create(old.schema, old.layout, next_location(old.location, 2))
    new = await world.other_place.look()
    assert new is not None
    assert (old.schema, old.layout) == (new.schema, new.layout)
    assert old.location != new.location


async def test_a_table_that_has_rows_already_is_not_changed(world: World) -> None:
    """An executor that was frozen wakes up: the table's user may have changed it since."""
    await world.one.create(ID)
    await load(world, 1)
    before = await world.place.look()
    await world.other_place.create(ID, replace(LAYOUT, order=("`id` DESC NULLS LAST",), parts=()))
    after = await world.place.look()
    assert before is not None
    assert after is not None
    assert before.layout == after.layout
