"""Refreshes in the model: named stories of executors that wake up late, and what the invariants would see."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from libs.common.contracts.events import RefreshMode
from tests.model.invariants import check_always, check_at_rest
from tests.model.process import Process
from tests.model.world import TO, World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def taken_up(world: World) -> Process:
    """The message that nobody has had yet, with whoever begins to work on it."""
    world.relay()
    [message] = world.unheard(world.wake_ups())
    process = world.deliver(message)
    assert process is not None
    return process


def a_zombie_before_its_publish(world: World) -> Process:
    """Of the first batch."""
    world.put("a.json", rows=2)
    world.request_run()
    world.see_through(taken_up(world))
    zombie = taken_up(world)
    world.go_on_to(zombie, "publish")
    return zombie


@pytest.mark.parametrize("mode", ["full", "new_only"])
def test_a_zombie_that_publishes_after_a_refresh_changes_no_table(world: World, mode: RefreshMode) -> None:
    """It stood right before its publish: its batch was burned in the old table, and the new one never saw its copy."""
    zombie = a_zombie_before_its_publish(world)
    world.request_refresh(mode)
    world.see_through(taken_up(world))
    world.settle()
    assert len(world.rows()) == 2, "the refresh's run loads what was burned"
    world.see_through(zombie)
    check_always(world)
    world.bring_to_rest()
    check_at_rest(world)
    assert len(world.rows()) == 2


def test_a_new_only_refresh_loads_what_was_never_loaded(world: World) -> None:
    """Files of before are its baseline: their rows are in the old table only."""
    world.put("old.json", rows=2)
    world.bring_to_rest()
    world.put("new.json", rows=3)
    world.request_refresh("new_only")
    world.bring_to_rest()
    check_at_rest(world)
    assert len(world.rows()) == 3
    assert world.api.generation == 2


@pytest.mark.parametrize("mode", ["full", "new_only"])
def test_a_new_table_is_partitioned_as_the_old_one_was(world: World, mode: RefreshMode) -> None:
    """Also when a user changed that by hand since the table was made, until the definition is changed."""
    world.partition_by("bucket(4, id)")
    world.put("a.json", rows=2)
    world.bring_to_rest()
    table = world.warehouse.table(TO.identifier)
    assert ("bucket(4, `id`)",) == table.layout.parts
    table.layout = replace(table.layout, parts=("id",), comment="ours")
    world.request_refresh(mode)
    world.bring_to_rest()
    check_at_rest(world)
    layout = world.warehouse.table(TO.identifier).layout
    assert (("id",), "ours") == (layout.parts, layout.comment)
    world.partition_by("truncate(10, id)")
    world.request_refresh(mode)
    world.bring_to_rest()
    check_at_rest(world)
    layout = world.warehouse.table(TO.identifier).layout
    assert (("truncate(10, `id`)",), "ours") == (layout.parts, layout.comment)


def test_a_refresh_that_could_make_no_table_changes_nothing(world: World) -> None:
    """It is found out while the old table still stands; the ingestion goes on with it."""
    world.put("a.json", rows=2)
    world.bring_to_rest()
    world.partition_by("days(id)")
    world.request_refresh("full")
    world.bring_to_rest()
    check_at_rest(world)
    assert (1, 2) == (world.api.generation, len(world.rows()))
    assert ["partition_type"] == [row.told_problem for row in world.ledger.refreshes.values()]


def test_a_late_rename_does_not_take_the_new_table_away(world: World) -> None:
    """An executor of a refresh froze when no table stood there yet. Another one ended the refresh, and a run made the
    table: no rename had taken the name that the late one would have given it."""
    world.put("a.json", rows=2)
    world.request_refresh("full")
    late = taken_up(world)
    while late.stands_before != "look" or not world.ledger.generations:
        world.go_on(late, 1)
    world.settle()
    assert len(world.rows()) == 2
    world.see_through(late)
    check_always(world)
    assert len(world.rows()) == 2


def loaded_refreshed_and_grown(world: World) -> None:
    """Two rows in the first table; those and another one, of a file that came later, in the second."""
    world.put("a.json", rows=2)
    world.bring_to_rest()
    world.put("b.json", rows=1)
    world.request_refresh("full")
    world.bring_to_rest()
    assert len(world.rows()) == 3


def test_an_undo_brings_the_rows_back_and_the_next_run_loads_what_they_lack(world: World) -> None:
    """Nothing that the old table holds is loaded again."""
    loaded_refreshed_and_grown(world)
    world.request_refresh("undo")
    world.see_through(taken_up(world))
    assert len(world.rows()) == 2
    check_always(world)
    world.bring_to_rest()
    check_at_rest(world)
    assert len(world.rows()) == 3
    assert world.api.generation == 3


def test_a_late_rename_of_the_refresh_does_not_take_away_the_table_that_came_back(world: World) -> None:
    """It froze right before it gave the old table its other name. Another executor did, and an undo took it back: the
    name would be free again, if nothing held it."""
    world.put("a.json", rows=2)
    world.bring_to_rest()
    world.request_refresh("full")
    late = taken_up(world)
    world.go_on_to(late, "rename")
    world.settle()
    world.request_refresh("undo")
    world.settle()
    world.see_through(late)
    check_always(world)
    assert len(world.rows()) == 2


def test_a_table_that_comes_up_in_the_middle_of_an_undo_is_set_aside(world: World) -> None:
    """An executor of the generation that is being undone was about to make its table when it froze."""
    world.put("a.json", rows=2)
    world.bring_to_rest()
    world.request_refresh("full")
    world.see_through(taken_up(world))
    world.warehouse.tables.pop(TO.identifier)  # somebody drops the new table before its first batch
    world.relay()
    for message in world.unheard(world.facts()):
        world.deliver(message)
    world.see_through(taken_up(world))
    late = taken_up(world)
    world.go_on_to(late, "create")
    world.request_refresh("undo")
    undo = taken_up(world)
    world.go_on_to(undo, "rename", nth=2)
    world.see_through(late)
    assert world.rows() == []
    world.see_through(undo)
    world.bring_to_rest()
    check_at_rest(world)
    assert len(world.rows()) == 2


def test_a_cleared_history_leaves_the_table_and_loads_its_files_again(world: World) -> None:
    """Also with an executor of before that was about to publish: its batch is burned in the same table."""
    world.put("a.json", rows=2)
    world.bring_to_rest()
    world.put("b.json", rows=1)
    world.request_run()
    world.see_through(taken_up(world))
    zombie = taken_up(world)
    world.go_on_to(zombie, "publish")
    world.request_refresh("clear_history")
    world.see_through(taken_up(world))
    assert len(world.rows()) == 2
    world.see_through(zombie)
    world.bring_to_rest()
    check_at_rest(world)
    assert len(world.rows()) == 2 + 3


def test_the_run_of_a_refresh_waits_for_one_of_the_old_generation(world: World) -> None:
    """Which is cancelled, and what it had published is in the old table."""
    zombie = a_zombie_before_its_publish(world)
    world.see_through(zombie)
    world.put("b.json", rows=1)
    world.request_run()
    world.request_refresh("full")
    world.bring_to_rest()
    check_at_rest(world)
    assert len(world.rows()) == 3
