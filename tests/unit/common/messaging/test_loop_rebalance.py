"""The consumer loop while its group changes (F22, F24)."""

import asyncio
from datetime import timedelta
from random import Random

import pytest

from tests.support.eventually import eventually
from tests.unit.common.messaging.world import GROUP, TOPIC, World


async def test_work_that_runs_through_a_rebalance_is_not_started_twice(world: World) -> None:
    """Somebody joins, the partition comes back to us, the message is delivered again: the running write is adopted."""
    world.hold(1)
    await world.send(1)
    world.loop()
    await eventually(lambda: [1] == world.began)
    world.loop()
    await eventually(lambda: 2 == len(world.broker._groups[GROUP].members))
    world.release(1)
    await eventually(lambda: {0: 1} == world.committed())
    assert [1] == world.began


async def test_what_waits_is_left_to_the_new_owner(world: World) -> None:
    """The old owner finishes what runs, commits nothing for it, and starts nothing else."""
    world.hold(1)
    await world.send(1, 2)
    first, consumer = world.loop()
    await eventually(lambda: [1] == world.began)
    await world.broker.leave(consumer)  # the group has given up on it; its handler still runs
    await first.on_revoked(tuple(first._assigned))
    other = World()
    other.broker = world.broker
    other.loop()
    await eventually(lambda: [1, 2] == other.ended)
    world.release(1)
    await eventually(lambda: [1] == world.ended)
    assert [1] == world.began
    await eventually(lambda: {0: 2} == world.committed())
    await other.close()


async def test_finished_work_is_committed_while_it_still_counts(world: World) -> None:
    """At revocation, not at the next turn."""
    await world.send(1, 2)
    world.loop(commit_interval=timedelta(hours=1))
    await eventually(lambda: [1, 2] == world.ended)
    world.loop(commit_interval=timedelta(hours=1))
    await eventually(lambda: {0: 2} == world.committed())


async def test_partitions_are_let_go_whatever_becomes_of_their_commit(world: World) -> None:
    """Else every later commit would name them, and fail."""
    await world.send(1)
    loop, consumer = world.loop(commit_interval=timedelta(hours=1))
    await eventually(lambda: [1] == world.ended)

    async def breaks(offsets: object) -> None:
        raise RuntimeError

    consumer.commit = breaks  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await loop.on_revoked(tuple(loop._assigned))
    assert set() == loop._assigned
    assert {} == loop._offsets.to_commit()


async def test_a_lost_membership_is_renewed(world: World) -> None:
    """A broken consumer is replaced; running work goes on and is adopted."""
    world.hold(1)
    await world.send(1)
    _, consumer = world.loop()
    await eventually(lambda: [1] == world.began)
    consumer.disconnect()
    await eventually(lambda: 2 == consumer.joins)
    world.release(1)
    await eventually(lambda: {0: 1} == world.committed())
    assert [1] == world.began


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(world: World) -> None:
    """Its offsets begin at 0 again; old tickets mean nothing (F22)."""
    world.hold(3)
    await world.send(1, 2, 3)
    world.loop()
    await eventually(lambda: 3 in world.began)
    world.broker.create_topic(TOPIC, 1)
    await world.send(4)
    world.release(3)
    await eventually(lambda: 4 in world.ended)
    await eventually(lambda: {0: 1} == world.committed())


async def test_a_reset_to_the_start_repeats_and_then_goes_on(world: World) -> None:
    """An operator's mistake costs time only (F22)."""
    await world.send(1, 2, 3)
    world.loop()
    await eventually(lambda: {0: 3} == world.committed())
    world.broker.reset(GROUP, dict.fromkeys(world.broker.partitions(TOPIC), 0))
    await world.send(4)
    await eventually(lambda: {0: 4} == world.committed())
    assert [1, 2, 3, 1, 2, 3, 4] == world.ended


async def test_members_that_come_and_go_lose_no_message_and_keep_each_keys_order() -> None:
    """Random joins and leaves while messages flow (F24)."""
    world = World(partitions=4)
    random = Random(7)
    loops = [world.loop(concurrency=2)[0]]
    for number in range(300):
        await world.send(number, key=f"k{number % 7}")
        if number % 15 == 0:
            if len(loops) > 1 and random.random() < 0.5:
                await world.stop(loops.pop(random.randrange(len(loops))))
            else:
                loops.append(world.loop(concurrency=2)[0])
        await asyncio.sleep(0)
    await eventually(lambda: set(range(300)) == set(world.ended), 20)
    for key in range(7):
        firsts = list(dict.fromkeys(number for number in world.ended if number % 7 == key))
        assert sorted(firsts) == firsts
    await world.close()
