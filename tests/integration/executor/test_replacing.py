"""A reload: the rows of a file give way to those of its version of today, in one commit; no other row is touched."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from libs.common.contracts.events import FileBatchFailed, Problem, RunCompleted
from libs.common.errors import Fenced, Permanent, Temporary
from libs.common.ids import new_run_id
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState
from services.executor.commit import CommitProtocol
from services.executor.domain.replacing import FileRows
from services.executor.table_lanes import TableLanes
from tests.integration.executor.world import BUCKET, LEASE, TO, World, lines
from tests.support.crash import Crash, CrashPoint
from tests.support.memory_table import MemoryTable


class BusyTable(MemoryTable):
    """Somebody else commits right before a publish, a few times."""

    commits = 0

    async def publish(self, snapshot_id: int) -> None:
        if BusyTable.commits:
            BusyTable.commits -= 1
            self._table.append([])
        await super().publish(snapshot_id)


class LateTable(MemoryTable):
    """The first publish of a replacing copy gets no answer, is looked for and not found, and arrives all the same:
    right before somebody looks at the table to stage the next copy."""

    late: int | None = None
    is_armed = False

    async def publish(self, snapshot_id: int) -> None:
        if LateTable.is_armed and self._table.staged(snapshot_id).takes_out:
            LateTable.is_armed, LateTable.late = False, snapshot_id
            raise Temporary("no answer", code="spark_unreachable")
        await super().publish(snapshot_id)

    async def file_rows(self, uris: Sequence[str], snapshot_id: int | None = None) -> FileRows:
        if LateTable.late is not None and snapshot_id is None:
            self._table.cherry_pick(LateTable.late)
            LateTable.late = None
        return await super().file_rows(uris, snapshot_id)


async def loaded(table_type: type[MemoryTable] = MemoryTable) -> World:
    """Three files are in the table, which names the file of each row."""
    world = World(table_type)
    world.ask_for("_file_path")
    await world.attempt(await world.claim(await world.plan(a=lines(1, 2), b=lines(3), c=lines(4))))
    return world


def check(world: World, *ids: int) -> None:
    """Each row once; what the ledger calls committed is what the table holds; the run ended once."""
    assert Counter(ids) == world.ids()
    facts = world.ledger.facts(world.run_id)
    assert list(range(1, len(facts) + 1)) == [fact.seq for fact in facts]
    assert [facts[-1]] == [fact for fact in facts if isinstance(fact, RunCompleted)]
    files = world.ledger.files.values()
    committed = [row for row in files if row.state is FileState.COMMITTED]
    assert len(ids) == sum(row.row_count or 0 for row in committed), "I7: table and ledger count differently"
    batches = world.ledger.batches.values()
    assert len(ids) == sum((b.row_count or 0) - b.rows_removed for b in batches if b.state is BatchState.PUBLISHED)
    published = {b.id for b in batches if b.state is BatchState.PUBLISHED}
    assert {row.batch_id for row in committed} <= published, "I4: a committed file's batch is not published"
    table = world.warehouse.tables[TO.identifier]
    waps = Counter(s.wap_id for s in table.current() if s.wap_id)
    assert all(times == 1 for times in waps.values()), "I2: a wap id is in the ancestry twice"


async def test_a_publish_that_arrives_late_is_seen_before_the_next_copy() -> None:
    """Of a reload of the very same version the rows tell nothing: only the batch's name does."""
    world = await loaded(LateTable)
    await world.reload(a=lines(1, 2))
    LateTable.is_armed = True
    [batch_id] = [b.id for b in world.ledger.batches.values() if b.state is BatchState.PLANNED]
    await world.attempt(await world.claim(batch_id))
    check(world, 1, 2, 3, 4)


def versions_of(world: World, name: str) -> dict[str, FileState]:
    return {at[3]: row.state for at, row in world.ledger.files.items() if row.version.key == f"data/{name}.json"}


async def test_one_file_of_three_is_replaced_in_one_snapshot() -> None:
    """Its old version is superseded, its new one committed; the others' rows and their batch stay."""
    world = await loaded()
    snapshots = list(world.warehouse.tables[TO.identifier].ancestry)
    await world.attempt(await world.claim(await world.reload(b=lines(3, 30))))
    check(world, 1, 2, 3, 30, 4)
    assert len(snapshots) + 1 == len(world.warehouse.tables[TO.identifier].ancestry)
    assert [FileState.SUPERSEDED, FileState.COMMITTED] == list(versions_of(world, "b").values())
    assert 2 == world.ledger.scans[world.run_id].totals.records_ingested


async def test_the_same_version_is_loaded_again() -> None:
    """Somebody deleted rows of it by hand: they come back, and nothing is there twice."""
    world = await loaded()
    table = world.warehouse.tables[TO.identifier]
    table.ancestry.append(table.write(None, [], takes_out=frozenset({f"s3://{BUCKET}/data/a.json"})).id)
    assert Counter([3, 4]) == world.ids()
    batch_id = await world.reload(a=lines(1, 2))
    await world.attempt(await world.claim(batch_id))
    assert Counter([1, 2, 3, 4]) == world.ids()
    [row] = [row for row in world.ledger.files.values() if row.version.key == "data/a.json"]
    assert (FileState.COMMITTED, batch_id) == (row.state, row.batch_id)


async def test_a_file_that_is_empty_now_leaves_the_table_and_comes_back() -> None:
    """Without rows it is committed all the same."""
    world = await loaded()
    await world.attempt(await world.claim(await world.reload(a=b"\n")))
    check(world, 3, 4)
    await world.attempt(await world.claim(await world.reload(a=lines(1))))
    check(world, 1, 3, 4)


async def crash_everywhere(crashes: int) -> None:
    """At each call, before and after it; then the next attempts, of which ``crashes`` - 1 more die as well."""
    world = await loaded()
    point = CrashPoint()
    await world.attempt(await world.claim(await world.reload(b=lines(3, 30), c=lines(40))), point)
    for at in range(len(point.calls)):
        for after in (False, True):
            world = await loaded()
            batch_id = await world.reload(b=lines(3, 30), c=lines(40))
            for _ in range(crashes):
                world.now += LEASE + timedelta(seconds=1)
                if world.ledger.batches[batch_id].state in FINAL_BATCH_STATES:
                    break
                with suppress(Crash):
                    await world.attempt(await world.claim(batch_id), CrashPoint(at, after))
            await world.settle()
            check(world, 1, 2, 3, 30, 40)


@pytest.mark.parametrize("crashes", [1, 2])
async def test_a_crash_at_any_call_leaves_each_row_once(crashes: int) -> None:
    """Old rows or new ones, never both and never neither."""
    await crash_everywhere(crashes)


async def test_a_commit_in_between_sends_it_back_to_stage_again() -> None:
    """A copy is good for one state of the table. What the other one committed stays."""
    world = await loaded(BusyTable)
    BusyTable.commits = 2
    await world.attempt(await world.claim(await world.reload(b=lines(30))))
    assert 0 == BusyTable.commits
    check(world, 1, 2, 30, 4)


async def test_a_table_that_never_rests_keeps_its_rows() -> None:
    """The reload is told to come back later."""
    world = await loaded(BusyTable)
    BusyTable.commits = 1000
    claim = await world.claim(await world.reload(b=lines(30)))
    with pytest.raises(Temporary) as told:
        await world.attempt(claim)
    BusyTable.commits = 0
    assert "table_busy" == told.value.code
    assert Counter([1, 2, 3, 4]) == world.ids()
    await world.settle()
    check(world, 1, 2, 30, 4)


async def zombie_stands_before_its_publish(world: World) -> int:
    """Past every guard, with a copy staged; its lease has ended. Returns the copy."""
    probe = await loaded()
    point = CrashPoint()
    await probe.attempt(await probe.claim(await probe.reload(b=lines(30))), point)
    claim = await world.claim(await world.reload(b=lines(30)))
    with pytest.raises(Crash):
        await world.attempt(claim, CrashPoint(point.calls.index("publish")))
    return max(world.warehouse.tables[TO.identifier].snapshots)


async def test_a_zombies_copy_is_refused_after_its_successors() -> None:
    """It was staged on a state of the table that is gone."""
    world = await loaded()
    copy = await zombie_stands_before_its_publish(world)
    await world.settle()
    with pytest.raises(Temporary):
        await world.table().publish(copy)
    check(world, 1, 2, 30, 4)


async def test_a_zombies_copy_that_comes_first_is_the_one() -> None:
    """The successor's own copy is refused, and its read-back finds the zombie's."""
    world = await loaded()
    copy = await zombie_stands_before_its_publish(world)
    await world.table().publish(copy)
    await world.settle()
    check(world, 1, 2, 30, 4)


async def test_a_zombies_copy_is_refused_after_a_burn() -> None:
    """Iceberg does not look at the wap id of an overwrite: the burn is a commit, and that is what stops it."""
    world = await loaded()
    copy = await zombie_stands_before_its_publish(world)
    world.now += LEASE + timedelta(seconds=1)
    [unfinished] = [b.id for b in world.ledger.batches.values() if b.state not in FINAL_BATCH_STATES]
    claim = await world.claim(unfinished)
    protocol = CommitProtocol(world.executor, world.objects, TableLanes())
    await protocol.give_up(claim, world.table(), Problem(error_type="x", message="gone"))
    with pytest.raises(Temporary):
        await world.table().publish(copy)
    check(world, 1, 2, 3, 4)
    assert [FileState.COMMITTED] == list(versions_of(world, "b").values())


async def test_a_key_is_replaced_by_one_batch_at_a_time() -> None:
    """A second reload of it is refused while the first is under way, and follows it afterwards."""
    world = await loaded()
    first = await world.reload(b=lines(30))
    run = world.run_id
    with pytest.raises(Fenced):
        await world.reload(b=lines(31))
    world.run_id = run
    world.objects.put(BUCKET, "data/b.json", lines(30))
    await world.attempt(await world.claim(first))
    check(world, 1, 2, 30, 4)
    await world.attempt(await world.claim(await world.reload(b=lines(31))))
    check(world, 1, 2, 31, 4)


async def test_a_normal_batch_that_publishes_in_between_is_kept() -> None:
    """Staged beside each other, in either order."""
    for normal_first in (False, True):
        world = await loaded()
        reload = await world.claim(await world.reload(b=lines(30)))
        reload_run = world.run_id
        world.run_id = new_run_id()
        normal = await world.claim(await world.plan(d=lines(5)))
        for claim in (normal, reload) if normal_first else (reload, normal):
            await world.attempt(claim)
        world.run_id = reload_run
        check(world, 1, 2, 30, 4, 5)


async def test_a_file_that_cannot_be_read_any_more_keeps_its_rows_and_the_others_go_on() -> None:
    """It is told what became of it; the ledger calls its old version loaded, which it is."""
    world = await loaded()
    world.tolerate("skip_file")
    await world.attempt(await world.claim(await world.reload(b=lines(30) + b"{broken\n", c=lines(40))))
    await world.settle()
    check(world, 1, 2, 3, 40)
    [failed] = [f for f in world.ledger.facts(world.run_id) if isinstance(f, FileBatchFailed)]
    [problem] = failed.problems
    assert "unparsable_file" == problem.error_type
    assert "still in the table" in (problem.hint or "")


async def test_a_cancelled_reload_changes_nothing() -> None:
    """Before anything was staged, and after."""
    for stages in (False, True):
        world = await loaded()
        batch_id = await world.reload(b=lines(30))
        claim = await world.claim(batch_id)
        if stages:
            with pytest.raises(Crash):
                await world.attempt(claim, CrashPoint(12))
        await world.cancel()
        await world.settle()
        check(world, 1, 2, 3, 4)
        assert BatchState.BURNED is world.ledger.batches[batch_id].state
        await world.attempt(await world.claim(await world.reload(b=lines(31))))
        check(world, 1, 2, 31, 4)


async def refused(world: World) -> str:
    """The code with which a reload of b is refused; nothing was changed."""
    rows, ancestry = world.ids(), list(world.warehouse.tables[TO.identifier].ancestry)
    claim = await world.claim(await world.reload(b=lines(30)))
    with pytest.raises(Permanent) as told:
        await world.attempt(claim)
    assert not (await world.executor.standing(claim)).may_be_staged
    assert (rows, ancestry) == (world.ids(), world.warehouse.tables[TO.identifier].ancestry)
    return told.value.code


async def test_a_table_without_the_file_column_is_told_what_it_needs() -> None:
    """Nobody can tell which rows to take out."""
    world = World()
    await world.attempt(await world.claim(await world.plan(a=lines(1), b=lines(2))))
    assert "file_column_missing" == await refused(world)


async def test_rows_from_before_the_file_column_cannot_be_replaced() -> None:
    """They would stay beside the new ones."""
    world = World()
    await world.attempt(await world.claim(await world.plan(a=lines(1), b=lines(2))))
    world.ask_for("_file_path")
    assert "file_column_incomplete" == await refused(world)


async def test_rows_that_somebody_else_put_there_under_the_same_file_are_not_taken_out() -> None:
    """Two ingestions of one bucket into one table."""
    world = await loaded()
    world.warehouse.tables[TO.identifier].append([f'{{"id": 9, "_file_path": "s3://{BUCKET}/data/b.json"}}'])
    assert "rows_of_others" == await refused(world)
