"""Ledger and table contradict each other, or the table forgot: nothing is loaded twice, and somebody is told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from libs.common.contracts.events import Problem
from libs.common.errors import Permanent, Temporary
from libs.common.ids import BatchId
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import BatchState, FileState
from libs.common.schema import Struct
from services.executor.commit import CommitProtocol
from services.executor.domain.audit import Staged
from services.executor.domain.from_keys import KeyValues
from services.executor.table_lanes import TableLanes
from tests.integration.executor.world import TO, World, lines
from tests.support.crash import Crash, CrashPoint
from tests.support.memory_table import MemoryTable

pytestmark = pytest.mark.asyncio


async def refused(world: World, batch_id: BatchId, code: str) -> None:
    """The batch is refused, given up, and leaves nothing in the table."""
    before = world.ids()
    claim = await world.claim(batch_id)
    with pytest.raises(Permanent) as error:
        await world.attempt(claim)
    assert code == error.value.code
    problem = Problem(error_type=error.value.code, message=error.value.message, hint=error.value.hint)
    await CommitProtocol(world.executor, world.objects, TableLanes()).give_up(claim, world.table(), problem)
    assert before == world.ids()
    assert code == world.ledger.halts[world.ingestion_id].error_type


async def test_a_ledger_from_an_older_backup_loads_nothing_twice() -> None:
    """The table has a batch of this ingestion that the ledger never heard of: halted, with the way out."""
    lost = World()
    await lost.attempt(await lost.claim(await lost.plan(a=lines(1, 2))))
    restored = World(objects=lost.objects, warehouse=lost.warehouse, ingestion_id=lost.ingestion_id)
    await refused(restored, await restored.plan(a=lines(1, 2)), "ledger_behind_table")
    assert "rebuild-ledger" in restored.ledger.halts[restored.ingestion_id].hint
    assert {"a": FileState.DISCOVERED} == restored.states()


async def test_a_halted_ingestion_stages_nothing() -> None:
    """The next batches are refused before Spark is asked to read anything."""
    lost = World()
    await lost.attempt(await lost.claim(await lost.plan(a=lines(1))))
    world = World(objects=lost.objects, warehouse=lost.warehouse, ingestion_id=lost.ingestion_id)
    first, second = await world.plan_batches({"a.json": lines(1)}, {"b.json": lines(2)})
    await refused(world, first, "ledger_behind_table")
    snapshots = len(world.warehouse.tables[TO.identifier].snapshots)
    point = CrashPoint()
    with pytest.raises(Permanent):
        await world.attempt(await world.claim(second), point)
    assert ["standing"] == point.calls
    assert snapshots == len(world.warehouse.tables[TO.identifier].snapshots)


async def test_a_batch_that_a_restored_ledger_takes_for_burned_is_noticed() -> None:
    """Its rows are in the table all the same."""
    world = World()
    first, second = await world.plan_batches({"a.json": lines(1)}, {"b.json": lines(2)})
    await world.attempt(await world.claim(first))
    world.ledger.batches[first] = replace(world.ledger.batches[first], state=BatchState.BURNED)
    await refused(world, second, "ledger_behind_table")


async def test_a_table_that_was_rolled_back_is_not_loaded_again_in_silence() -> None:
    """What somebody took away on purpose does not come back by itself."""
    world = World()
    first, second = await world.plan_batches({"a.json": lines(1)}, {"b.json": lines(2)})
    await world.attempt(await world.claim(first))
    world.warehouse.tables[TO.identifier].roll_back(None)
    await refused(world, second, "table_rolled_back")
    assert {} == world.ids()


async def test_foreign_commits_are_no_contradiction() -> None:
    """Appends by others, and expiry of old snapshots, between two batches."""
    world = World()
    first, second = await world.plan_batches({"a.json": lines(1)}, {"b.json": lines(2)})
    await world.attempt(await world.claim(first))
    table = world.warehouse.tables[TO.identifier]
    table.append(['{"id": 100}'])
    table.expire()
    await world.attempt(await world.claim(second))
    assert [1, 2, 100] == sorted(world.ids())


async def test_a_publish_that_cannot_be_told_any_more_is_not_repeated() -> None:
    """Killed right after the publish; then a foreign commit, and every older snapshot expires."""
    world = World()
    batch_id = await world.plan(a=lines(1, 2))
    point = CrashPoint(at=await _call_of("publish"), after=True)
    with pytest.raises(Crash):
        await world.attempt(await world.claim(batch_id), point)
    table = world.warehouse.tables[TO.identifier]
    table.append(['{"id": 100}'])
    table.expire()
    await world.settle()
    assert {1: 1, 2: 1, 100: 1} == dict(world.ids())
    assert {"a": FileState.FAILED} == world.states()
    [row] = world.ledger.files.values()
    assert row.problem is not None
    assert "history_expired" == row.problem.error_type


async def test_a_staged_snapshot_that_expired_is_staged_again() -> None:
    """Nothing else happened meanwhile, so the table can be sure that the batch is not in it."""
    world = World()
    batch_id = await world.plan(a=lines(1, 2))
    point = CrashPoint(at=await _call_of("publish"))
    with pytest.raises(Crash):
        await world.attempt(await world.claim(batch_id), point)
    world.warehouse.tables[TO.identifier].expire()
    await world.settle()
    world.check([1, 2])


class Choking(MemoryTable):
    """A table whose engine fails, without a reason, whenever one file is in the batch."""

    async def stage(
        self,
        files: Sequence[FileVersion],
        schema: Struct,
        wap_id: str,
        properties: Mapping[str, str],
        from_keys: KeyValues | None = None,
    ) -> Staged:
        if any("poison" in f.key for f in files):
            raise Temporary("the engine failed", code="spark_failed")
        return await super().stage(files, schema, wap_id, properties, from_keys)


async def test_a_batch_is_halved_until_the_file_that_breaks_it_is_named() -> None:
    """Its neighbours are loaded; the file itself waits for the next run."""
    world = World(table_type=Choking)
    await world.plan(a=lines(1), b=lines(2), poison=lines(3), d=lines(4), e=lines(5))
    protocol = CommitProtocol(world.executor, world.objects, TableLanes())
    while open_batches := [b.id for b in world.ledger.batches.values() if b.lease_until is None]:
        claim = await world.claim(open_batches[0])
        try:
            await world.attempt(claim)
        except Temporary as error:
            await protocol.give_up(claim, world.table(), Problem(error_type=error.code, message=error.message))
    world.check([1, 2, 4, 5])
    assert {"poison": FileState.DISCOVERED} == {k: v for k, v in world.states().items() if v != FileState.COMMITTED}
    [problem] = [row.problem for row in world.ledger.files.values() if row.problem]
    assert "s3://landing/data/poison.json" == problem.file


async def _call_of(name: str) -> int:
    """The number of a call in an attempt that nothing disturbs."""
    world, point = World(), CrashPoint()
    await world.attempt(await world.claim(await world.plan(a=lines(1, 2))), point)
    return point.calls.index(name)
