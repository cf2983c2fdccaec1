"""What was rescued beside rows goes into columns that came later: unseen until the publish, and nothing is lost."""

import json
from typing import Any

import pytest

from libs.common.ddl import parse_columns
from services.executor.domain.evolution import Rules
from services.executor.domain.filling import Fillable, Wanted, wanted
from services.executor.domain.provenance import with_provenance
from services.executor.domain.schema_change import Addition
from services.executor.whole_table_ports import RowsOf
from tests.contract.table.worlds import ID, World, a_wap_id, lines, load, stage

pytestmark = pytest.mark.contract
NEW = parse_columns("x bigint, name string, m struct<a: bigint>")
RECORDS: list[dict[str, Any]] = [
    {"id": 1, "x": 5, "name": "It's", "y": [1, {"z": None}]},
    {"id": 2, "x": "five", "name": "n"},
    {"id": 3, "m": {"a": 1}},
    {"id": 4, "m": {"a": 1, "b": 2}, "x": 7},
    {"id": 5},
]


async def rescued(world: World, *records: dict[str, Any]) -> Wanted:
    """A table that has rescued all of these but their ids, and has got columns since."""
    schema = await world.one.create(with_provenance(ID, (), "_rescued_data"))
    staged = await stage(world.one, [world.put("old.json", lines(*records))], schema)
    await world.one.publish(staged.snapshot_id)
    schema = await world.one.add([Addition.of(f) for f in NEW.fields])
    return wanted("t", schema, [f.name for f in NEW.fields], Rules())


async def test_a_value_that_fits_whole_goes_into_its_column(world: World) -> None:
    """What does not, and what has no column, stays as it is; nobody sees anything before the publish."""
    of_all = await rescued(world, *RECORDS)
    before = await world.records("id", "_rescued_data")
    found = await world.rescued.count(of_all)
    current = await world.whole.current()
    assert Fillable(current, 5, 4, filled=(2, 2, 1), unfit=(1, 0, 1)) == found
    copy = await world.rescued.stage(of_all, a_wap_id(), {"autoloader.ingestion": "i"})
    assert (current, 5) == (copy.parent_id, await world.whole.count(RowsOf(copy.snapshot_id)))
    assert before == await world.records("id", "_rescued_data")

    await world.one.publish(copy.snapshot_id)
    rows = {id_: (x, name, text) for id_, x, name, text in await world.records("id", "x", "name", "_rescued_data")}
    uri = json.loads(before[0][1])["_file_path"]
    assert {1: (5, "It's"), 2: (None, "n"), 3: (None, None), 4: (7, None), 5: (None, None)} == {
        id_: row[:2] for id_, row in rows.items()
    }
    assert {
        1: {"y": [1, {"z": None}], "_file_path": uri},
        2: {"x": "five", "_file_path": uri},
        3: None,
        4: {"m": {"a": 1, "b": 2}, "_file_path": uri},
        5: None,
    } == {id_: text and json.loads(text) for id_, (_, _, text) in rows.items()}
    # Once more: what fits is there.
    assert Fillable(copy.snapshot_id, 5, 0, filled=(0, 0, 0), unfit=(1, 0, 1)) == await world.rescued.count(of_all)


async def test_only_the_columns_that_are_asked_for_are_filled(world: World) -> None:
    """The others wait for their turn."""
    of_all = await rescued(world, *RECORDS[:2])
    one = Wanted(of_all.columns[1:2], of_all.rescued)
    copy = await world.rescued.stage(one, a_wap_id(), {})
    await world.one.publish(copy.snapshot_id)
    assert [(1, None, "It's"), (2, None, "n")] == await world.records("id", "x", "name")
    assert Fillable(copy.snapshot_id, 2, 1, filled=(1, 0, 0), unfit=(1, 0, 0)) == await world.rescued.count(of_all)


async def test_a_copy_is_good_for_one_state_of_the_table(world: World) -> None:
    """Whoever commits in between, a batch or a second copy, makes it worthless; and is not undone by it."""
    of_all = await rescued(world, *RECORDS[:1])
    early, wap_id = await world.rescued.stage(of_all, a_wap_id(), {}), a_wap_id()
    await load(world, 9)
    with pytest.raises(Exception, match="cherry"):
        await world.one.publish(early.snapshot_id)
    one, twin = [await world.rescued.stage(of_all, wap_id, {}) for _ in range(2)]
    await world.one.publish(one.snapshot_id)
    with pytest.raises(Exception, match="cherry"):
        await world.one.publish(twin.snapshot_id)
    found = await world.one.published(wap_id)
    assert found is not None
    assert (one.snapshot_id, False) == (found.snapshot_id, found.is_burn)
    assert [(1, 5), (9, None)] == await world.records("id", "x")


async def test_what_somebody_put_into_a_column_stays(world: World) -> None:
    """And so does the row: nothing of it moves until somebody decides."""
    of_all = await rescued(world, *RECORDS[:2])
    await world.set("x", 99)
    # Of the other row, nothing fits into x anyway.
    found = await world.rescued.count(of_all)
    assert (1, (0, 1, 0)) == (found.rows, found.filled)
    copy = await world.rescued.stage(of_all, a_wap_id(), {})
    await world.one.publish(copy.snapshot_id)
    assert [(1, 99, None), (2, 99, "n")] == await world.records("id", "x", "name")
