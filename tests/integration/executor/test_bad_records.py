"""Bad records beside good ones: the commit protocol with a quarantine, killed before and after every call it makes.

Two tables, no transaction over both: the good rows and the bad records of a file stand each in its own, once.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from libs.common.contracts.events import FileBatchCommitted, FileBatchFailed, Problem, RunCompleted
from libs.common.errors import Temporary
from libs.common.ids import BatchId
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState
from libs.common.schema import Field, Struct
from services.executor.commit import CommitProtocol
from services.executor.domain.schema_change import Widening
from services.executor.table_lanes import TableLanes
from tests.integration.executor.world import LEASE, TO, World, lines
from tests.support.crash import Crash, CrashPoint
from tests.support.memory_table import MemoryTable

BAD = "{broken"


class BusyTable(MemoryTable):
    """Somebody else works on it and on its quarantine, so that everything is picked, and nothing fast-forwarded."""

    async def publish(self, snapshot_id: int) -> None:
        self._table.append([])
        await super().publish(snapshot_id)

    async def publish_bad_records(self, snapshot_id: int) -> None:
        self._warehouse.table(self._to.quarantine.identifier).append([])
        await super().publish_bad_records(snapshot_id)


def with_bad(*numbers: int, text: str = BAD) -> bytes:
    return lines(*numbers) + f"{text}\n".encode()


async def one_bad(world: World) -> tuple[BatchId, list[int], list[str]]:
    """Two files, a new table, and one bad line."""
    return await world.plan(a=lines(0, 1), b=with_bad(2, 3)), [0, 1, 2, 3], [BAD]


async def many_bad(world: World) -> tuple[BatchId, list[int], list[str]]:
    """First, middle and last lines; a file of nothing else; and a field that the table lacks."""
    await world.table().create(await world.table().infer([world.objects.put("landing", "x", lines(0))]))
    bodies = {"a": b"{one\n" + lines(0) + b"{two\n" + lines(1) + b"{three\n", "b": b"{four\n{five\n"}
    batch_id = await world.plan(**bodies, c=lines(2, region="eu"))
    return batch_id, [0, 1, 2], ["{one", "{two", "{three", "{four", "{five"]


async def busy(world: World) -> tuple[BatchId, list[int], list[str]]:
    """Other writers commit before each publish."""
    world.table_type = BusyTable
    return await world.plan(a=lines(0, 1), b=with_bad(2)), [0, 1, 2], [BAD]


async def too_many(world: World) -> tuple[BatchId, list[int], list[str]]:
    """One file has more than it may: nothing of it is loaded or set aside, and the others go on."""
    world.tolerate("continue", count_max=1)
    batch_id = await world.plan(a=with_bad(0), b=lines(7) + b"{x\n{y\n", c=lines(1))
    return batch_id, [0, 1], [BAD]


async def too_large(world: World) -> tuple[BatchId, list[int], list[str]]:
    """A number for which the table's column is too narrow."""
    await world.table().create(Struct((Field("id", "bigint"), Field("n", "int"))))
    large = lines(1, n=2**40)
    return await world.plan(a=lines(0, n=1) + large), [0], [large.decode().strip()]


Situation = Callable[[World], Awaitable[tuple[BatchId, list[int], list[str]]]]
SITUATIONS = [one_bad, many_bad, busy, too_many, too_large]


async def calls_of(situation: Situation) -> list[str]:
    world = World()
    batch_id, _, _ = await situation(world)
    point = CrashPoint()
    await world.attempt(await world.claim(batch_id), point)
    return point.calls


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_a_crash_at_any_call_leaves_each_record_once(situation: Situation) -> None:
    """Good ones in the table, bad ones in the quarantine."""
    for at in range(len(await calls_of(situation))):
        for after in (False, True):
            world = World()
            batch_id, expected, bad = await situation(world)
            with pytest.raises(Crash):
                await world.attempt(await world.claim(batch_id), CrashPoint(at, after))
            await world.settle()
            world.check(expected, bad)


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_two_crashes_in_a_row_change_nothing(situation: Situation) -> None:
    """The attempt that repairs is killed as well, at each of its calls."""
    total = len(await calls_of(situation))
    for first in range(0, total, 2):
        for second in range(total):
            world = World()
            batch_id, expected, bad = await situation(world)
            with pytest.raises(Crash):
                await world.attempt(await world.claim(batch_id), CrashPoint(first, after=True))
            world.now += LEASE + timedelta(seconds=1)
            for unfinished in [b.id for b in world.ledger.batches.values() if b.state not in FINAL_BATCH_STATES]:
                try:
                    await world.attempt(await world.claim(unfinished), CrashPoint(second, after=True))
                except Crash:
                    break
            await world.settle()
            world.check(expected, bad)


async def test_a_batch_without_bad_records_asks_the_quarantine_nothing() -> None:
    """It makes no table, and no call."""
    world = World()
    point = CrashPoint()
    await world.attempt(await world.claim(await world.plan(a=lines(0, 1))), point)
    assert [] == [call for call in point.calls if "bad_records" in call]
    assert TO.quarantine.identifier not in world.warehouse.tables


async def test_nobody_sees_bad_records_before_the_rows_of_their_batch() -> None:
    """Killed right before the publish: both are staged, and both tables are empty."""
    world = World()
    batch_id, _, _ = await one_bad(world)
    at = (await calls_of(one_bad)).index("publish")
    with pytest.raises(Crash):
        await world.attempt(await world.claim(batch_id), CrashPoint(at))
    assert ([], []) == (world.warehouse.rows(TO), world.warehouse.rows(TO.quarantine))
    assert 1 == len(world.warehouse.tables[TO.quarantine.identifier].snapshots)


async def test_a_burned_batch_leaves_nothing_in_the_quarantine() -> None:
    """Given up when both were staged. Its files wait, and the next run sets the records aside once."""
    world = World()
    batch_id, _, _ = await one_bad(world)
    claim = await world.claim(batch_id)
    with pytest.raises(Crash):
        await world.attempt(claim, CrashPoint((await calls_of(one_bad)).index("publish")))
    protocol = CommitProtocol(world.executor, world.objects, TableLanes())
    await protocol.give_up(claim, world.table(), Problem(error_type="x", message="gone"))
    world.check([])


async def test_what_a_frozen_executor_published_is_paired_with_its_own_bad_records() -> None:
    """Its publish arrives late, after its successor has staged other copies of both."""
    world, publish = World(), (await calls_of(one_bad)).index("publish")
    batch_id, expected, bad = await one_bad(world)
    with pytest.raises(Crash):
        await world.attempt(await world.claim(batch_id), CrashPoint(publish))
    frozen = max(world.warehouse.tables[TO.identifier].snapshots)
    world.now += LEASE + timedelta(seconds=1)
    successor = CrashPoint(publish - 1)  # the table is there now, so its calls are fewer
    with pytest.raises(Crash):
        await world.attempt(await world.claim(batch_id), successor)
    assert "stage_bad_records" in successor.calls
    await world.table().publish(frozen)
    await world.settle()
    world.check(expected, bad)
    published = world.warehouse.tables[TO.identifier].current()[-1].properties["autoloader.attempt"]
    [set_aside] = world.warehouse.tables[TO.quarantine.identifier].current()
    assert published == set_aside.properties["autoloader.attempt"]


@pytest.mark.parametrize("is_late", [False, True])
async def test_counts_are_those_of_the_attempt_that_was_published(is_late: bool) -> None:
    """The second attempt sees no bad record: somebody has widened the column meanwhile. If the publish of the first one
    can still arrive, what it counted has to stay."""
    world, publish = World(), (await calls_of(too_large)).index("publish")
    batch_id, good, bad = await too_large(world)
    with pytest.raises(Crash):
        await world.attempt(await world.claim(batch_id), CrashPoint(publish))
    frozen = max(world.warehouse.tables[TO.identifier].snapshots)

    class Late(MemoryTable):
        async def publish(self, snapshot_id: int) -> None:
            if is_late and frozen not in self._table.ancestry:
                await super().publish(frozen)
            await super().publish(snapshot_id)

    world.table_type = Late
    await world.table().widen([Widening(("n",), "int", "bigint")])
    await world.settle()
    world.check(*((good, bad) if is_late else ([0, 1], [])))


@pytest.mark.parametrize("bad_again", [False, True])
async def test_a_reload_takes_the_old_bad_records_along(bad_again: bool) -> None:
    """Killed before and after every call: of the file there is what its version of today holds, and of others what was
    there."""
    text = "{again"
    body = with_bad(30, text=text) if bad_again else lines(30)
    for at in range(60):
        for after in (False, True):
            world = World()
            world.ask_for("_file_path")
            await world.attempt(await world.claim(await world.plan(a=with_bad(0), b=with_bad(1, text="{b"))))
            claim = await world.claim(await world.reload(b=body))
            try:
                await world.attempt(claim, CrashPoint(at, after))
            except Crash:
                await world.settle()
            else:
                assert at > 20, "it was killed at some of its calls"
                return
            assert [0, 30] == sorted(world.ids())
            assert sorted([BAD, *([text] if bad_again else [])]) == sorted(world.quarantined().elements())


async def test_the_run_names_the_first_bad_record_of_each_file_and_is_partial() -> None:
    """With its line and reason; the file counts as loaded."""
    world = World()
    batch_id, _, _ = await one_bad(world)
    await world.attempt(await world.claim(batch_id))
    [committed] = [f for f in world.ledger.facts(world.run_id) if isinstance(f, FileBatchCommitted)]
    [problem] = committed.problems
    assert ("bad_records", 3, "s3://landing/data/b.json") == (problem.error_type, problem.line, problem.file)
    assert "1 of 3 records were set aside; the first, line 3: a JSON object that is cut short" in problem.message
    assert "partial" == ends_as(world)
    assert {"a": FileState.COMMITTED, "b": FileState.COMMITTED} == world.states()


async def test_a_run_of_nothing_but_bad_records_failed() -> None:
    """All is in the quarantine, and nothing in the table."""
    world = World()
    await world.attempt(await world.claim(await world.plan(a=b"{x\n{y\n")))
    world.check([], ["{x", "{y"])
    assert "failed" == ends_as(world)


async def test_a_file_with_too_many_is_named_with_the_limit_and_the_first_line() -> None:
    """What the limit says, and where to look."""
    world = World()
    batch_id, _, _ = await too_many(world)
    await world.attempt(await world.claim(batch_id))
    [failed] = [f for f in world.ledger.facts(world.run_id) if isinstance(f, FileBatchFailed)]
    [problem] = failed.problems
    assert ("too_many_bad_records", 2) == (problem.error_type, problem.line)
    assert "2 of 3 records that do not fit the table, and quality.bad_records_max allows 1" in problem.message


async def test_a_second_look_that_sees_something_else_is_not_believed() -> None:
    """A batch is staged again rather than published with counts that do not close."""

    class Forgetful(MemoryTable):
        async def stage_bad_records(self, files, schema, wap_id, properties):  # type: ignore[no-untyped-def]
            return dict(list((await super().stage_bad_records(files, schema, wap_id, properties)).items())[1:])

    world = World(Forgetful)
    batch_id, _, _ = await one_bad(world)
    with pytest.raises(Temporary, match="second look"):
        await world.attempt(await world.claim(batch_id))
    assert [] == world.warehouse.rows(TO)


async def test_abort_ends_the_run_with_its_first_bad_record() -> None:
    """What was published stays; the rest of the batch, and the other batches, wait for the next run."""
    world = World()
    world.tolerate("abort")
    first, spoiled, later = await world.plan_batches(
        {"a.json": lines(0)}, {"b.json": lines(1), "c.json": with_bad(2)}, {"d.json": lines(3)}
    )
    for batch_id in (first, spoiled):
        await world.attempt(await world.claim(batch_id))
    with pytest.raises(Exception, match="on_error is abort"):
        await world.attempt(await world.claim(later))
    await give_up(world, later)
    assert [0] == list(world.ids())
    assert "failed" == ends_as(world)
    assert {
        "a": FileState.COMMITTED,
        "b": FileState.DISCOVERED,
        "c": FileState.FAILED,
        "d": FileState.DISCOVERED,
    } == world.states()


async def test_a_batch_that_was_under_way_when_the_run_was_aborted_is_not_published() -> None:
    """The guard before the publish stops it."""
    world = World()
    world.tolerate("abort")
    spoiled, other = await world.plan_batches({"a.json": with_bad(0)}, {"b.json": lines(1)})
    under_way = await world.claim(other)
    await world.executor.about_to_stage(under_way)
    await world.attempt(await world.claim(spoiled))
    with pytest.raises(Exception, match="on_error is abort"):
        await world.executor.publishing(under_way, 0)
    assert BatchState.LEASED is world.ledger.batches[other].state


def ends_as(world: World) -> str | None:
    return next((f.outcome for f in world.ledger.facts(world.run_id) if isinstance(f, RunCompleted)), None)


async def give_up(world: World, batch_id: BatchId) -> None:
    world.now += LEASE + timedelta(seconds=1)
    protocol = CommitProtocol(world.executor, world.objects, TableLanes())
    await protocol.give_up(await world.claim(batch_id), world.table(), Problem(error_type="x", message="stopped"))
