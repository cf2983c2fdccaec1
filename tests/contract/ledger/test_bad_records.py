"""Bad records in the ledger: counted with the batch that set them aside, told with its run, and the end of an abort."""

from datetime import timedelta

import pytest

from libs.common.contracts.events import FileBatchCommitted, Problem, RunCompleted, ScanFailed, Totals
from libs.common.errors import Fenced, Permanent
from libs.common.ids import BatchId
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Fate, PublishedBatch
from libs.common.ledger.model.files import BadRecord, BadRecords
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import BatchState, FileState
from tests.contract.ledger.worlds import (
    LONG,
    World,
    batch_of,
    claimed,
    facts,
    new_order,
    scanned,
    states,
    version,
    versions,
)

pytestmark = pytest.mark.contract
FIRST = BadRecord(3, "not JSON \x00", "bad \x00")
UNFIT = Problem(error_type="unparsable_file", message="2 of 5 records", file="s3://landing/b")


async def taken(world: World, batch_id: BatchId, lease: timedelta = LONG) -> BatchClaim:
    claim = await world.executor(lease).claim(batch_id)
    assert claim is not None
    return claim


async def test_what_was_set_aside_is_told_with_the_batch_and_counted_in_the_run(world: World) -> None:
    """The first bad record of each file, beside the rows that were loaded; the run is partial."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a", "b", "c"))
    claim = await taken(world, batch_id)
    rows = {version("a").digest: 5, version("b").digest: 8, version("c").digest: 0}
    bad = {version("b").digest: BadRecords(2, (FIRST,)), version("c").digest: BadRecords(1)}
    await world.executor().staged(claim, rows, bad)
    await world.executor().published(claim, PublishedBatch(7, 500, ()))
    *_, committed, completed = await facts(world, order)
    assert isinstance(committed, FileBatchCommitted)
    assert (13, 3) == (committed.records, committed.records_quarantined)
    b, c = committed.problems
    assert ("bad_records", "s3://landing/b", 3) == (b.error_type, b.file, b.line)
    assert b.message.startswith("s3://landing/b: 2 of 10 records were set aside; the first, line 3: not JSON")
    assert ("s3://landing/c", None) == (c.file, c.line)
    assert isinstance(completed, RunCompleted)
    assert "partial" == completed.outcome
    assert (3, 13, 3) == (
        completed.totals.files_done,
        completed.totals.records_ingested,
        completed.totals.records_quarantined,
    )


async def test_the_latest_attempt_says_what_was_bad(world: World) -> None:
    """A column that came meanwhile may take what did not fit before."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    claim = await taken(world, batch_id)
    await world.executor().staged(claim, {version("a").digest: 5}, {version("a").digest: BadRecords(2, (FIRST,))})
    await world.executor().staged(claim, {version("a").digest: 7})
    await world.executor().published(claim, PublishedBatch(7, 500, ()))
    *_, committed, completed = await facts(world, order)
    assert isinstance(committed, FileBatchCommitted)
    assert (7, 0, ()) == (committed.records, committed.records_quarantined, committed.problems)
    assert isinstance(completed, RunCompleted)
    assert "success" == completed.outcome


async def test_what_may_be_published_yet_keeps_its_counts(world: World) -> None:
    """A second attempt that counts the same goes on; one that does not is told."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    claim, a = await taken(world, batch_id), version("a").digest
    assert await world.executor().staged(claim, {a: 5}, {a: BadRecords(2, (FIRST,))})
    await world.executor().publishing(claim, 7)
    assert not await world.executor().staged(claim, {a: 7})
    assert await world.executor().staged(claim, {a: 5}, {a: BadRecords(2, (FIRST,))})
    await world.executor().published(claim, PublishedBatch(7, 500, ()))
    *_, committed, _ = await facts(world, order)
    assert isinstance(committed, FileBatchCommitted)
    assert (5, 2) == (committed.records, committed.records_quarantined)


async def under_way_of_an_aborted(world: World) -> BatchClaim:
    """A run whose first batch met a bad record; the claim of its second, which was under way."""
    order = new_order()
    first, second = await scanned(world, order, versions("a", "b"), versions("c"))
    under_way = await taken(world, second)
    verdict = BurnVerdict({version("b").digest: Fate(FileState.FAILED, UNFIT)}, aborts=True)
    await world.executor().burned(await taken(world, first), verdict)
    return under_way


async def test_an_aborted_run_publishes_nothing_more(world: World) -> None:
    """Whoever is under way is stopped at the guard, and told why; who claims a batch is told at once."""
    under_way = await under_way_of_an_aborted(world)
    with pytest.raises(Permanent) as refused:
        await world.executor().publishing(under_way, 7)
    standing = await world.executor().standing(under_way)
    assert standing.halt is not None
    assert "run_aborted" == refused.value.code == standing.halt.error_type
    assert BatchState.LEASED is standing.state


async def test_an_aborted_run_ends_as_failed_and_its_other_files_wait(world: World) -> None:
    """Also those of the bad file's own batch."""
    order = new_order()
    first, second = await scanned(world, order, versions("a", "b"), versions("c"))
    verdict = BurnVerdict({version("b").digest: Fate(FileState.FAILED, UNFIT)}, aborts=True)
    await world.executor().burned(await taken(world, first), verdict)
    claim = await taken(world, second)
    await world.executor().burned(claim, BurnVerdict({version("c").digest: Fate(FileState.DISCOVERED)}, UNFIT))
    assert {"a": FileState.DISCOVERED, "b": FileState.FAILED, "c": FileState.DISCOVERED} == await states(world, order)
    completed = (await facts(world, order))[-1]
    assert isinstance(completed, RunCompleted)
    assert ("failed", Totals(files_discovered=3, files_failed=3, batches_planned=2, batches_done=2)) == (
        completed.outcome,
        completed.totals,
    )


async def test_an_abort_ends_the_listing(world: World) -> None:
    """Whoever lists plans nothing more, and the run does not wait for it."""
    order = new_order()
    scan = await claimed(world, order)
    planned = batch_of(*versions("a"))
    await world.scanner().record(scan, Page(taken=versions("a"), batches=(planned,)))
    verdict = BurnVerdict({version("a").digest: Fate(FileState.FAILED, UNFIT)}, aborts=True)
    await world.executor().burned(await taken(world, planned.id), verdict)
    with pytest.raises(Fenced):
        await world.scanner().record(scan, Page(taken=versions("z")))
    *_, broken, completed = await facts(world, order)
    assert isinstance(broken, ScanFailed)
    assert "run_aborted" == broken.problem.error_type
    assert isinstance(completed, RunCompleted)
    assert "failed" == completed.outcome
