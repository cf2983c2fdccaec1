"""The commit protocol, killed before and after every single call that it makes, and then resumed.

Ledger, table and object store are the ones in memory, which pass the same contract suites as the real ones.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.contracts.definition import Definition, Destination, Source
from libs.common.contracts.events import FileBatchCommitted, Problem, RunCompleted
from libs.common.errors import Fenced, Temporary
from libs.common.ids import BatchId, IngestionId, RunId, TenantId, new_batch_id, new_ingestion_id, new_run_id
from libs.common.ledger.model import BatchClaim, FileVersion, Page, PlannedBatch
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState
from libs.common.storage.definitions import RunDefinition
from services.executor.commit import CommitProtocol
from services.executor.table_lanes import TableLanes
from tests.support.crash import Crash, CrashPoint
from tests.support.memory_ledger import MemoryLedger
from tests.support.memory_objects import MemoryObjects
from tests.support.memory_table import MemoryTable, PlainAppendTable, Snapshot, Warehouse

BUCKET = "landing"
TO = Destination(catalog="lake", database="demo", table="t")
LEASE = timedelta(seconds=30)
ATTEMPTS_MAX = 12


def lines(*numbers: int, **more: object) -> bytes:
    return "".join(json.dumps({"id": n, **more}) + "\n" for n in numbers).encode()


@dataclass
class World:
    """A ledger, a warehouse and a bucket; one run whose scan is over, with one batch of all files."""

    table_type: type[MemoryTable] = MemoryTable
    now: datetime = datetime(2025, 1, 7, tzinfo=UTC)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    warehouse: Warehouse = field(default_factory=Warehouse)
    run_id: RunId = field(default_factory=new_run_id)
    ingestion_id: IngestionId = field(default_factory=new_ingestion_id)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(lambda: self.now)
        self.executor = self.ledger.executor(lease=LEASE)
        self.order = RunDefinition(
            run_id=self.run_id,
            ingestion_id=self.ingestion_id,
            tenant_id=TenantId("t"),
            generation=1,
            trigger="manual",
            definition=Definition(name="n", cluster_id="c", source=Source(path=f"s3://{BUCKET}/data/"), destination=TO),
            credentials=None,
        )

    async def plan(self, **bodies: bytes) -> BatchId:
        files = tuple(self.objects.put(BUCKET, f"data/{name}.json", body) for name, body in bodies.items())
        return await self._planned(files)

    async def _planned(self, files: tuple[FileVersion, ...]) -> BatchId:
        scanner = self.ledger.scanner()
        scan = await scanner.claim(self.run_id, self.ingestion_id, 1)
        assert scan is not None
        batch = PlannedBatch(new_batch_id(), files)
        await scanner.complete(scan, Page(taken=files, batches=(batch,)), ())
        return batch.id

    def table(self) -> MemoryTable:
        return self.table_type(self.warehouse, TO, self.objects)

    async def claim(self, batch_id: BatchId) -> BatchClaim:
        claim = await self.executor.claim(batch_id)
        assert claim is not None
        return claim

    async def attempt(self, claim: BatchClaim, point: CrashPoint | None = None) -> None:
        point = point or CrashPoint()
        protocol = CommitProtocol(point.around(self.executor), point.around(self.objects), TableLanes())
        await protocol.load(claim, self.order, point.around(self.table()))

    async def settle(self) -> None:
        """What sweepers do: claim whatever is unfinished, until nothing is."""
        for _ in range(ATTEMPTS_MAX):
            self.now += LEASE + timedelta(seconds=1)
            unfinished = [b.id for b in self.ledger.batches.values() if b.state not in FINAL_BATCH_STATES]
            if not unfinished:
                return
            for batch_id in unfinished:
                await self.attempt(await self.claim(batch_id))
        raise AssertionError("the batches never end")

    def ids(self) -> Counter[int]:
        return Counter(json.loads(row)["id"] for row in self.warehouse.rows(TO))

    def states(self) -> dict[str, FileState]:
        return {
            row.version.key.removeprefix("data/").removesuffix(".json"): row.state for row in self.ledger.files.values()
        }

    def check(self, expected_ids: range | list[int]) -> None:
        """The oracle: each row once, the counts close, the run has ended once, and its events have no gap."""
        assert self.ids() == Counter(expected_ids)
        facts = self.ledger.facts(self.run_id)
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
        assert [isinstance(fact, RunCompleted) for fact in facts].count(True) == 1
        assert isinstance(facts[-1], RunCompleted)
        assert facts[-1].totals.records_ingested == len(list(expected_ids))
        assert sum(f.records for f in facts if isinstance(f, FileBatchCommitted)) == len(list(expected_ids))
        for batch in self.ledger.batches.values():
            wap_id = f"al1:{batch.ingestion_id}:{batch.generation}:{batch.id}"
            under = [s for s in self._current() if s.wap_id == wap_id]
            assert len(under) <= 1, "I2: a wap id occurs at most once in the ancestry"
            is_data = bool(under) and not under[0].is_burn
            assert (batch.state is BatchState.PUBLISHED) == is_data, "I4: published in the ledger and in the table"

    def _current(self) -> list[Snapshot]:
        table = self.warehouse.tables[TO.identifier]
        return [table.snapshots[number] for number in table.ancestry]


async def clean(world: World) -> tuple[BatchId, list[int]]:
    """Two files, a new table."""
    return await world.plan(a=lines(0, 1), b=lines(2, 3, 4)), [0, 1, 2, 3, 4]


async def evolving(world: World) -> tuple[BatchId, list[int]]:
    """The table is there and lacks a field."""
    await world.table().create(await world.table().infer([world.objects.put(BUCKET, "x", lines(0))]))
    return await world.plan(a=lines(0, 1), b=lines(2, region="eu")), [0, 1, 2]


async def spoiled(world: World) -> tuple[BatchId, list[int]]:
    """One of three files has a bad line: it fails, the others go on in a new batch."""
    return await world.plan(a=lines(0, 1), b=lines(7) + b"{broken\n", c=lines(2)), [0, 1, 2]


async def busy(world: World) -> tuple[BatchId, list[int]]:
    """Another writer has appended, so a publish is a pick, not a fast-forward."""
    batch_id = await world.plan(a=lines(0, 1), b=lines(2, 3))
    await world.table().create(await world.table().infer([world.objects.put(BUCKET, "x", lines(0))]))
    return batch_id, [0, 1, 2, 3]


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
    files = (world.objects.put(BUCKET, "data/later.json", lines(9)),)
    batch_id = await world._planned(files)
    with pytest.raises(Exception, match="is gone"):
        await world.attempt(await world.claim(batch_id))
    assert TO.identifier not in world.warehouse.tables
