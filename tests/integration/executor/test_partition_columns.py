"""Columns that keys fill, as the protocol puts them into tables: new, old, and with other ideas of their own."""

from dataclasses import replace
from typing import Any

import pytest

from libs.common.contracts.definition import Partitioning
from libs.common.contracts.events import FileBatchCommitted
from libs.common.errors import Permanent
from libs.common.ids import new_run_id
from libs.common.ledger.states import FileState
from tests.integration.executor.world import TO, World, lines


def keyed(*names: str, world: World | None = None, **schema_rules: Any) -> World:
    """A world whose definition fills these columns from keys, from now on."""
    world = world or World()
    if schema_rules:
        world.follow(**schema_rules)
    definition = world.order.definition
    source = definition.source.model_copy(update={"partition_columns": names})
    world.order = replace(world.order, definition=definition.model_copy(update={"source": source}))
    return world


async def load(world: World, **bodies: bytes) -> None:
    """What the keys hold stands in the names, with two underscores for each slash."""
    world.run_id = new_run_id()
    await world.plan(**{name.replace("__", "/"): body for name, body in bodies.items()})
    await world.settle()


async def test_each_row_has_what_its_key_says() -> None:
    """As texts: a month does not lose its zero. A key that does not say it gives null."""
    world = keyed("year", "month")
    await load(world, **{"year=2025__month=01__a": lines(1, 2), "b": lines(3)})
    world.check([1, 2, 3])
    assert {"id": "bigint", "year": "string", "month": "string"} == world.columns()
    told = [(row["id"], row["year"], row["month"]) for row in world.records()]
    assert [(1, "2025", "01"), (2, "2025", "01"), (3, None, None)] == sorted(told)


async def test_a_file_whose_key_does_not_fit_is_set_aside_before_it_is_read() -> None:
    """By name; the others load."""
    world = keyed("year", hints={"year": "int"})
    await load(world, **{"year=2025__a": lines(1), "year=old__b": lines(2), "year=1__year=2__c": lines(3)})
    world.check([1])
    assert {
        "year=2025/a": FileState.COMMITTED,
        "year=old/b": FileState.FAILED,
        "year=1/year=2/c": FileState.FAILED,
    } == world.states()
    old, twice = sorted(world.problems()["key_does_not_fit"], key=lambda problem: problem.message, reverse=True)
    assert "year=old is no int" in old.message
    assert "2 times" in twice.message
    staged = [s for s in world.warehouse.table(TO.identifier).snapshots.values() if s.rows]
    assert 1 == len(staged), "nothing was staged that could not be published"


@pytest.mark.parametrize("mode", ["add_new_columns", "fail_on_new_columns", "rescue", "none"])
async def test_what_a_key_says_counts_for_more_than_a_field_and_that_is_told(mode: str) -> None:
    """The field is no reason to change a column, or to refuse a file; a table that rescues keeps it."""
    world = keyed("year", schema_evolution_mode=mode)
    await load(world, **{"year=2025__a": lines(1, Year=7)})
    world.check([1])
    [row] = world.records()
    assert "2025" == row["year"]
    assert ("Year" in row.get("_rescued_data", "")) == (mode == "rescue")
    [committed] = [fact for fact in world.ledger.facts(world.run_id) if isinstance(fact, FileBatchCommitted)]
    [warning] = committed.warnings
    assert "'Year'" in warning


async def test_a_table_that_was_there_gets_the_columns_and_old_rows_have_none() -> None:
    """In any mode: somebody asked for them. The next ones find them there."""
    world = World()
    await load(world, **{"year=2024__a": lines(1)})
    keyed("year", world=world, schema_evolution_mode="none")
    for name, number in (("b", 2), ("c", 3)):
        await load(world, **{f"year=2025__{name}": lines(number)})
    assert [None, "2025", "2025"] == [row.get("year") for row in world.records()]
    assert ["id", "year"] == list(world.columns())


async def test_without_a_word_a_folder_is_a_name_and_a_field_is_a_field() -> None:
    """As before, and again as soon as nobody asks any more."""
    world = World()
    await load(world, **{"year=2024__a": lines(1, year=7)})
    assert [{"id": 1, "year": 7}] == world.records()
    keyed("year", world=world)
    await load(world, **{"year=2025__b": lines(2, year=8)})
    keyed(world=world)
    await load(world, **{"year=2026__c": lines(3, year=9)})
    assert [7, 2025, 9] == [int(row["year"]) for row in world.records()]


async def test_a_column_that_keys_cannot_fill_is_refused() -> None:
    """The batch waits, with what to do."""
    world = World()
    await load(world, a=lines(1, year=[1]))
    keyed("year", world=world)
    world.run_id = new_run_id()
    batch = await world.plan(**{"year=2025/b": lines(2)})
    with pytest.raises(Permanent, match=r"year as array<bigint>") as refused:
        await world.attempt(await world.claim(batch))
    assert "partition_column_type" == refused.value.code


async def test_a_required_column_sets_files_aside_whose_keys_lack_it() -> None:
    """Where the columns were given."""
    world = keyed("year", inference="manual", schema_json="id bigint, year int not null")
    await load(world, **{"year=2025__a": lines(1), "b": lines(2)})
    world.check([1])
    assert "must have a value" in world.problems()["key_does_not_fit"][0].message


async def test_the_table_can_be_partitioned_by_them() -> None:
    """Also by the time of a folder, whose column becomes one."""
    world = keyed("day", "region")
    to = TO.model_copy(update={"partitioning": Partitioning(enabled=True, columns=("days(day)", "region"))})
    world.order = replace(world.order, definition=world.order.definition.model_copy(update={"destination": to}))
    await load(world, **{"day=2025-01-07__region=eu__a": lines(1), "day=soon__region=eu__b": lines(2)})
    world.check([1])
    assert ("days(`day`)", "`region`") == world.warehouse.table(TO.identifier).layout.parts
    assert {"id": "bigint", "day": "timestamp", "region": "string"} == world.columns()
    assert "day=soon is no timestamp" in world.problems()["key_does_not_fit"][0].message


async def test_replaced_rows_have_what_their_key_says_too() -> None:
    """They are staged in the same pass."""
    world = keyed("year")
    world.ask_for("_file_path")
    await load(world, **{"year=2025__a": lines(1)})
    await world.reload(beside=None, **{"year=2025/a": lines(2, 3)})
    await world.settle()
    assert [(2, "2025"), (3, "2025")] == [(row["id"], row["year"]) for row in world.records()]
