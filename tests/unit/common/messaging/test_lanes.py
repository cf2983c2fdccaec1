"""Lanes: order within a key, and running work that outlives a rebalance."""

from libs.common.messaging.lanes import Lanes
from libs.common.messaging.offsets import Offsets
from libs.common.messaging.ports import Incoming, Partition

P0 = Partition("t", 0)


def message(offset: int, key: str = "k", value: str = "v") -> Incoming:
    return Incoming("t", 0, offset, key.encode(), value.encode(), {})


def make() -> tuple[Lanes, Offsets]:
    offsets = Offsets()
    return Lanes(offsets), offsets


def test_one_key_is_one_lane_and_needs_one_worker() -> None:
    """The second message of a key waits behind the first."""
    lanes, offsets = make()
    key = lanes.accept(message(0))
    assert key is not None
    assert lanes.accept(message(1)) is None
    assert lanes.accept(message(2, key="other")) is not None
    assert 3 == len(lanes)
    head = lanes.head(key)
    assert head is not None
    assert 0 == head.message.offset
    lanes.finish(key, handled=True)
    assert {P0: 1} == offsets.to_commit()


def test_an_empty_lane_is_gone() -> None:
    """So the next message of that key gets a worker of its own."""
    lanes, _ = make()
    key = lanes.accept(message(0))
    assert key is not None
    lanes.finish(key, handled=True)
    assert lanes.head(key) is None
    assert 0 == len(lanes)
    assert lanes.accept(message(1)) == key


def test_losing_a_partition_drops_what_waits_and_disowns_what_runs() -> None:
    """The new owner gets both; nobody waits for them here."""
    lanes, _ = make()
    key = lanes.accept(message(0))
    assert key is not None
    lanes.accept(message(1))
    lanes.forget([P0])
    assert 1 == len(lanes)
    head = lanes.head(key)
    assert head is not None
    assert not lanes.is_wanted(head)


def test_work_that_still_runs_is_adopted_when_its_message_comes_again() -> None:
    """A rebalance that gives the partition back must not start a long write twice."""
    lanes, offsets = make()
    key = lanes.accept(message(0))
    assert key is not None
    lanes.forget([P0])
    offsets.forget([P0])
    assert lanes.accept(message(0)) is None
    assert 1 == len(lanes)
    lanes.finish(key, handled=True)
    assert {P0: 1} == offsets.to_commit()


def test_another_message_at_the_same_offset_is_not_taken_for_the_running_one() -> None:
    """The topic was made anew: offset 0 is different work."""
    lanes, offsets = make()
    key = lanes.accept(message(0, value="old"))
    assert key is not None
    lanes.forget([P0])
    offsets.forget([P0])
    lanes.accept(message(0, value="new"))
    assert 2 == len(lanes)
    lanes.finish(key, handled=True)
    assert {} == offsets.to_commit()
    lanes.finish(key, handled=True)
    assert {P0: 1} == offsets.to_commit()
