"""Columns that say where rows came from, as the protocol puts them into tables: new, old, and other people's."""

import json
from typing import Any

import pytest

from libs.common.contracts.events import FileBatchFailed
from libs.common.errors import Permanent
from libs.common.ids import new_run_id
from libs.common.ledger.states import FileState
from tests.integration.executor.world import BUCKET, TO, World, lines


def rows_of(world: World) -> list[dict[str, Any]]:
    return [json.loads(row) for row in world.warehouse.rows(TO)]


def told(world: World) -> list[str]:
    facts = world.ledger.facts(world.run_id)
    return [problem.error_type for fact in facts if isinstance(fact, FileBatchFailed) for problem in fact.problems]


async def test_a_new_table_has_them_from_its_first_batch() -> None:
    """The data's columns, then ours; each row names its own file and the run."""
    world = World()
    world.ask_for("_file_path", "_run_id")
    await world.attempt(await world.claim(await world.plan(a=lines(1), b=lines(2))))
    world.check([1, 2])
    expected = [
        {"id": n, "_file_path": f"s3://{BUCKET}/data/{key}.json", "_run_id": str(world.run_id)}
        for n, key in ((1, "a"), (2, "b"))
    ]
    assert expected == rows_of(world)


async def test_switched_on_later_they_are_added_and_old_rows_stay_as_they_were() -> None:
    """In the next run that loads something. Asking for them again changes nothing."""
    world = World()
    await world.attempt(await world.claim(await world.plan(a=lines(1))))
    for key in ("b", "c"):
        world.run_id = new_run_id()
        world.ask_for("_file_path")
        await world.attempt(await world.claim(await world.plan(**{key: lines(2)})))
    old, *new = rows_of(world)
    assert {"id": 1} == old
    assert [f"s3://{BUCKET}/data/{key}.json" for key in ("b", "c")] == [row["_file_path"] for row in new]
    assert ["id", "_file_path"] == [f.name for f in world.warehouse.tables[TO.identifier].schema.fields]


async def test_switched_off_again_they_are_still_filled() -> None:
    """As long as the column is there: a table with gaps could not be trusted for anything."""
    world = World()
    world.ask_for("_file_path")
    await world.attempt(await world.claim(await world.plan(a=lines(1))))
    world.run_id = new_run_id()
    world.ask_for()
    await world.attempt(await world.claim(await world.plan(b=lines(2))))
    assert all(row["_file_path"] for row in rows_of(world))


@pytest.mark.parametrize("name", ["_file_path", "_FILE_PATH"])
async def test_a_file_with_a_field_of_that_name_is_told_of_the_clash(name: str) -> None:
    """Also the first one of a table; the others load, and nothing of it goes missing in silence."""
    world = World()
    world.ask_for("_file_path")
    await world.attempt(await world.claim(await world.plan(a=lines(1, **{name: "x"}), b=lines(2))))
    await world.settle()
    world.check([2])
    assert {"a": FileState.FAILED, "b": FileState.COMMITTED} == world.states()
    assert ["field_name_clash"] == told(world)


async def test_a_column_of_the_tables_own_is_not_taken_over() -> None:
    """The batch is refused with what to do; the table stays as it is."""
    world = World()
    await world.attempt(await world.claim(await world.plan(a=lines(1, _run_id="mine"))))
    world.run_id = new_run_id()
    world.ask_for("_run_id")
    with pytest.raises(Permanent, match="_run_id") as refused:
        await world.attempt(await world.claim(await world.plan(b=lines(2))))
    assert "metadata_column_taken" == refused.value.code
    assert [{"id": 1, "_run_id": "mine"}] == rows_of(world)
