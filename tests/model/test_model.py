"""The model in small: some stories, each failpoint once, and the proof that the model would see a plain append."""

import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from libs.common import failpoints
from tests.model.__main__ import CONTROL_STEPS, CONTROLS, stories, tell
from tests.model.invariants import check_at_rest
from tests.model.machine import ELSEWHERE, FAILPOINTS, Autoloader
from tests.model.process import Mishap
from tests.model.world import World
from tests.support.memory_table import PlainAppendTable


@pytest.fixture(autouse=True)
def _without_logs() -> Iterator[None]:
    """Stories are full of trouble; each of it is logged."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_stories_end_well() -> None:
    """A first look; ``make model`` tells many more."""
    run_state_machine_as_test(seed(20250107)(Autoloader), settings=stories(40))


@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_death_at_each_failpoint_is_survived(world: World, name: str) -> None:
    """Somebody dies there, others repair it, and each row is in the table once."""
    for key in ("a.json", "b.json", "c.json"):
        world.put(key, rows=2, bad=1 if name == "exec.after_quarantine" else 0)
    if name.startswith(("refresh.", "undo.")):
        world.bring_to_rest()  # there is a table to move
    if name.startswith("undo."):
        world.request_refresh("full")
        world.bring_to_rest()
    world.arm(name)
    if name.startswith("undo."):
        world.request_refresh("undo")
    elif name.startswith("refresh."):
        world.request_refresh("full")
    else:
        world.request_run()
    world.api.ask_again()
    for _ in range(3):  # the scanner, or the refresh; what it planned; what is left
        world.relay()
        for message in world.unheard(world.wake_ups()):
            process = world.deliver(message)
            assert process is not None
            world.see_through(process)
    assert world.struck[name] == 1, "nobody passed there"
    world.bring_to_rest()
    check_at_rest(world)
    assert len(world.rows()) == 6


def test_every_failpoint_is_in_the_model() -> None:
    """A new one wants a place in a story."""
    assert set(failpoints.NAMES) - ELSEWHERE == set(FAILPOINTS)


def a_zombie_publishes_late(world: World) -> None:
    """An executor stands right before its publish when its lease goes to another one, which loads the batch."""
    world.put("a.json", rows=2)
    world.request_run()
    world.relay()
    [request] = world.wake_ups()
    scanner = world.deliver(request)
    assert scanner is not None
    world.see_through(scanner)
    world.relay()
    [batch] = world.unheard(world.wake_ups())
    zombie = world.deliver(batch)
    assert zombie is not None
    while zombie.stands_before != "publish":
        world.go_on(zombie, 1)
    world.expire_leases()
    [heir] = world.sweep()
    world.see_through(heir)
    world.see_through(zombie)


def test_a_zombie_that_publishes_late_is_refused_by_the_table(world: World) -> None:
    """The table takes one publish of a batch."""
    a_zombie_publishes_late(world)
    world.bring_to_rest()
    check_at_rest(world)


def test_a_publish_that_spark_runs_twice_is_one_publish(world: World) -> None:
    """Spark Connect may do so when its client reattaches."""
    world.put("a.json", rows=2)
    world.request_run()
    world.relay()
    for message in world.wake_ups():
        scanner = world.deliver(message)
        assert scanner is not None
        world.see_through(scanner)
    world.relay()
    [batch] = world.unheard(world.wake_ups())
    executor = world.deliver(batch)
    assert executor is not None
    while executor.stands_before != "publish":
        world.go_on(executor, 1)
    executor.mishap = Mishap.SPARK_RUNS_TWICE
    world.see_through(executor)
    world.bring_to_rest()
    check_at_rest(world)


def test_the_invariants_see_what_a_plain_append_does() -> None:
    """Negative control: the same zombie, and a publish that only appends."""
    world = World(PlainAppendTable)
    try:
        a_zombie_publishes_late(world)
        with pytest.raises(AssertionError, match="rows duplicated"):
            check_at_rest(world)
    finally:
        world.close()


@pytest.mark.parametrize("control", CONTROLS)
def test_the_stories_find_out_what_is_broken_on_purpose(control: type[Autoloader]) -> None:
    """Negative control of the stories themselves: nobody tells them where to look."""
    bad_end = tell(control, first_seed=1, steps=CONTROL_STEPS, is_shrunken=False)
    assert re.search(CONTROLS[control], str(bad_end))
