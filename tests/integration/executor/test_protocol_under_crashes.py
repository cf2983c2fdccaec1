"""The commit protocol, killed before and after every single call that it makes, and then resumed.

Ledger, table and object store are the ones in memory, which pass the same contract suites as the real ones.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from libs.common.contracts.events import Problem
from libs.common.errors import Fenced, Temporary
from libs.common.ids import BatchId, new_run_id
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState
from services.executor.commit import CommitProtocol
from services.executor.table_lanes import TableLanes
from tests.integration.executor.world import BUCKET, LEASE, TO, World, lines
from tests.support.crash import Crash, CrashPoint
from tests.support.memory_table import MemoryTable, PlainAppendTable


class BusyTable(MemoryTable):
    """Somebody else works on it, too."""

    async def publish(self, snapshot_id: int) -> None:
        self._table.append([])
        await super().publish(snapshot_id)


async def clean(world: World) -> tuple[BatchId, list[int]]:
    """Two files, a new table."""
    return await world.plan(a=lines(0, 1), b=lines(2, 3, 4)), [0, 1, 2, 3, 4]


async def evolving(world: World) -> tuple[BatchId, list[int]]:
    """The table is there and lacks a field."""
    await world.table().create(await world.table().infer([world.objects.put(BUCKET, "x", lines(0))]))
    return await world.plan(a=lines(0, 1), b=lines(2, region="eu")), [0, 1, 2]


async def spoiled(world: World) -> tuple[BatchId, list[int]]:
    """One of three files has a bad line: it fails, the others go on in a new batch."""
    world.tolerate("skip_file")
    return await world.plan(a=lines(0, 1), b=lines(7) + b"{broken\n", c=lines(2)), [0, 1, 2]


async def busy(world: World) -> tuple[BatchId, list[int]]:
    """Another writer commits before each publish, so all of them are picks, not fast-forwards."""
    world.tolerate("skip_file")
    world.table_type = BusyTable
    return await world.plan(a=lines(0, 1), b=lines(2) + b"{broken\n", c=lines(3)), [0, 1, 3]


Situation = Callable[[World], Awaitable[tuple[BatchId, list[int]]]]
SITUATIONS = [clean, evolving, spoiled, busy]


async def calls_of(situation: Situation, table_type: type[MemoryTable]) -> int:
    world = World(table_type)
    batch_id, _ = await situation(world)
    point = CrashPoint()
    await world.attempt(await world.claim(batch_id), point)
    return len(point.calls)


async def crash_everywhere(situation: Situation, table_type: type[MemoryTable] = MemoryTable) -> int:
    """Runs the situation once per call and side, each time from a new world. Returns how many crashes were survived."""
    crashes = 0
    for at in range(await calls_of(situation, table_type)):
        for after in (False, True):
            world = World(table_type)
            batch_id, expected = await situation(world)
            with pytest.raises(Crash):
                await world.attempt(await world.claim(batch_id), CrashPoint(at, after))
            await world.settle()
            world.check(expected)
            crashes += 1
    return crashes


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_a_crash_at_any_call_leaves_each_row_once(situation: Situation) -> None:
    """Killed before or after every call, the batch is finished by the next attempt, and no row is lost or doubled."""
    assert await crash_everywhere(situation) >= 16


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_two_crashes_in_a_row_change_nothing(situation: Situation) -> None:
    """The attempt that repairs is killed as well, at each of its calls."""
    total = await calls_of(situation, MemoryTable)
    for first in range(0, total, 2):
        for second in range(total):
            world = World()
            batch_id, expected = await situation(world)
            with pytest.raises(Crash):
                await world.attempt(await world.claim(batch_id), CrashPoint(first, after=True))
            world.now += LEASE + timedelta(seconds=1)
            unfinished = [b.id for b in world.ledger.batches.values() if b.state not in FINAL_BATCH_STATES]
            for next_id in unfinished:
                try:
                    await world.attempt(await world.claim(next_id), CrashPoint(second, after=True))
                except Crash:
                    break
            await world.settle()
            world.check(expected)


async def test_the_suite_finds_a_plain_append() -> None:
    """Negative control: with a publish that is only an append, a zombie doubles rows, and the oracle says so."""
    world = World(PlainAppendTable)
    expected = await zombie_publishes(world)
    assert Counter(dict.fromkeys(expected, 2)) == world.ids()
    with pytest.raises(AssertionError):
        world.check(expected)


async def test_a_zombie_that_publishes_late_is_refused_by_the_table() -> None:
    """It passed its last guard before its lease ended; the table takes one of the two publishes."""
    world = World()
    world.check(await zombie_publishes(world))


async def zombie_publishes(world: World) -> list[int]:
    """An executor stops right before its publish, past every guard; another finishes the batch; the first goes on."""
    batch_id, expected = await clean(world)
    zombie = await world.claim(batch_id)
    point = CrashPoint(at=None)
    probe = World()
    probe_id, _ = await clean(probe)
    await probe.attempt(await probe.claim(probe_id), point)
    with pytest.raises(Crash):
        await world.attempt(zombie, CrashPoint(point.calls.index("publish")))
    staged = max(world.warehouse.tables[TO.identifier].snapshots)
    await world.settle()
    with suppress(Temporary):
        await world.table().publish(staged)
    return expected


async def test_a_zombie_is_fenced_at_its_next_guard() -> None:
    """Its lease went to another executor: the next write to the ledger stops it, and it has published nothing."""
    world = World()
    batch_id, expected = await clean(world)
    zombie = await world.claim(batch_id)
    world.now += LEASE + timedelta(seconds=1)
    successor = await world.claim(batch_id)
    with pytest.raises(Fenced):
        await world.attempt(zombie)
    await world.attempt(successor)
    world.check(expected)


async def test_a_burn_wins_over_a_publish_that_comes_later() -> None:
    """Given up and burned; the copy that was staged before can never be published."""
    world = World()
    batch_id, _ = await clean(world)
    claim = await world.claim(batch_id)
    point = CrashPoint()
    probe = World()
    await probe.attempt(await probe.claim((await clean(probe))[0]), point)
    with pytest.raises(Crash):
        await world.attempt(claim, CrashPoint(point.calls.index("publish")))
    staged = max(world.warehouse.tables[TO.identifier].snapshots)
    protocol = CommitProtocol(world.executor, world.objects, TableLanes())
    await protocol.give_up(claim, world.table(), Problem(error_type="x", message="gone"))
    with pytest.raises(Temporary):
        await world.table().publish(staged)
    world.check([])
    assert {FileState.DISCOVERED} == set(world.states().values())


async def test_giving_up_after_a_lost_answer_finds_the_publish() -> None:
    """The publish arrived and its answer did not: who comes to burn finds the data, and the batch is published."""
    world = World()
    batch_id, expected = await clean(world)
    claim = await world.claim(batch_id)
    point = CrashPoint()
    probe = World()
    await probe.attempt(await probe.claim((await clean(probe))[0]), point)
    with pytest.raises(Crash):
        await world.attempt(claim, CrashPoint(point.calls.index("publish"), after=True))
    protocol = CommitProtocol(world.executor, world.objects, TableLanes())
    await protocol.give_up(claim, world.table(), Problem(error_type="x", message="gone"))
    world.check(expected)


async def test_a_burn_that_was_begun_is_finished_by_the_next() -> None:
    """Killed between the mark and the burn: nobody may publish the batch after all. Its files go on in another."""
    world = World()
    batch_id, expected = await clean(world)
    claim = await world.claim(batch_id)
    await world.executor.about_to_stage(claim)
    await world.table().create(await world.table().infer(await world.executor.files(claim)))
    point = CrashPoint(2, after=True)  # the files are looked up, the batch is marked, and the table is asked
    protocol = CommitProtocol(point.around(world.executor), world.objects, TableLanes())
    with pytest.raises(Crash):
        await protocol.give_up(claim, point.around(world.table()), Problem(error_type="x", message="gone"))
    assert ["files", "burning", "published"] == point.calls
    await world.settle()
    assert BatchState.BURNED == world.ledger.batches[batch_id].state
    world.check(expected)


async def test_a_bad_file_is_named_to_its_line_and_the_others_load() -> None:
    """The fates of a spoiled batch: failed with the reason, the rest committed in a batch of its own."""
    world = World()
    batch_id, expected = await spoiled(world)
    await world.attempt(await world.claim(batch_id))
    await world.settle()
    world.check(expected)
    assert {"a": FileState.COMMITTED, "b": FileState.FAILED, "c": FileState.COMMITTED} == world.states()
    [failed] = [row for row in world.ledger.files.values() if row.state is FileState.FAILED]
    assert failed.problem is not None
    assert (2, "unparsable_file") == (failed.problem.line, failed.problem.error_type)


async def test_a_file_that_vanished_or_changed_is_set_aside_before_anything_is_published() -> None:
    """Gone after the listing: missing. Overwritten: superseded, none of either version is taken."""
    world = World()
    batch_id = await world.plan(a=lines(0, 1), b=lines(2), c=lines(3))
    world.objects.delete(BUCKET, "data/b.json")
    world.objects.put(BUCKET, "data/c.json", lines(3, 4, 5))
    await world.attempt(await world.claim(batch_id))
    await world.settle()
    world.check([0, 1])
    assert {"a": FileState.COMMITTED, "b": FileState.MISSING, "c": FileState.SUPERSEDED} == world.states()


async def test_a_table_that_was_dropped_is_not_made_anew_in_silence() -> None:
    """Files were loaded into it; a new table would hold only the rest."""
    world = World()
    await world.attempt(await world.claim((await clean(world))[0]))
    del world.warehouse.tables[TO.identifier]
    world.run_id = new_run_id()
    batch_id = await world.plan(later=lines(9))
    with pytest.raises(Exception, match="is gone"):
        await world.attempt(await world.claim(batch_id))
    assert TO.identifier not in world.warehouse.tables
