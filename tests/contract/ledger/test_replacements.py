"""Loaded files that are loaded again: the ledger changes nothing for them until the table has changed."""

import asyncio
from datetime import timedelta

import pytest

from libs.common.contracts.events import FileBatchCommitted, FileBatchFailed, Problem, RunCompleted
from libs.common.errors import Fenced
from libs.common.ids import BatchId
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Fate, PlannedBatch, PublishedBatch
from libs.common.ledger.model.files import FileVersion, Loaded, Reload
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import BatchState, FileState
from tests.contract.ledger.worlds import (
    LONG,
    Order,
    World,
    batch_of,
    claimed,
    facts,
    new_order,
    planned,
    scanned,
    states,
    version,
    versions,
)

pytestmark = pytest.mark.contract
BAD = Problem(error_type="unparsable_file", message="a line is no JSON", file="s3://landing/a")


async def taken(world: World, batch_id: BatchId, lease: timedelta = LONG) -> BatchClaim:
    claim = await world.executor(lease).claim(batch_id)
    assert claim is not None
    return claim


async def load(world: World, claim: BatchClaim, rows: int = 5, *, removed: int = 0) -> None:
    """All the way: each file has as many rows."""
    executor = world.executor()
    await executor.about_to_stage(claim)
    await executor.staged(claim, {f.digest: rows for f in await executor.files(claim)})
    await executor.publishing(claim, 1)
    await executor.published(claim, PublishedBatch(7, 100, (), rows_removed=removed))


async def loaded(world: World, *keys: str) -> Order:
    """A run that loaded these keys, in one batch."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions(*keys))
    await load(world, await taken(world, batch_id))
    return order


def replacing(*files: FileVersion) -> PlannedBatch:
    return PlannedBatch(batch_of(*files).id, files, replaces_rows=True)


async def reload(world: World, order: Order, *files: FileVersion) -> BatchId:
    """A run that found nothing but these, which are loaded."""
    batch = replacing(*files)
    await world.scanner().complete(await claimed(world, order), Page(batches=(batch,)), ())
    return batch.id


async def test_what_is_on_its_way_changes_nothing_yet(world: World) -> None:
    """The old version is committed, with its rows, as long as they are in the table; the executor gets the new one."""
    before = await loaded(world, "a", "b")
    rows = await world.files(before.ingestion_id)
    order = before.next_run()
    batch_id = await reload(world, order, version("b", "v2"))
    assert [batch_id] == await planned(world, order)
    assert rows == await world.files(order.ingestion_id)
    claim = await taken(world, batch_id)
    assert claim.replaces_rows
    assert (version("b", "v2"),) == await world.executor().files(claim)
    assert {version("b").digest: Loaded((version("b"),), 5)} == await world.executor().loaded(claim)


async def test_a_new_version_takes_the_place_of_the_old_one(world: World) -> None:
    """In the transaction that finalises the batch. The run counts the file, and the rows that it loaded."""
    order = (await loaded(world, "a", "b")).next_run()
    batch_id = await reload(world, order, version("b", "v2"))
    claim = await taken(world, batch_id)
    await load(world, claim, rows=7, removed=5)
    expected = {"a": FileState.COMMITTED, "b@v1:10": FileState.SUPERSEDED, "b@v2:10": FileState.COMMITTED}
    assert expected == await states(world, order)
    [new] = [f for f in await world.files(order.ingestion_id) if f.version_tag == "v2:10"]
    assert (batch_id, 7) == (new.batch_id, new.row_count)
    told = await facts(world, order)
    [committed] = [fact for fact in told if isinstance(fact, FileBatchCommitted)]
    assert (1, 7) == (committed.files, committed.records)
    assert isinstance(told[-1], RunCompleted)
    totals = told[-1].totals
    assert ("success", 1, 1, 7) == (
        told[-1].outcome,
        totals.files_discovered,
        totals.files_done,
        totals.records_ingested,
    )


async def test_the_same_version_may_be_loaded_again(world: World) -> None:
    """It belongs to the new batch then; and again, and again."""
    before = order = await loaded(world, "a")
    for rows in (6, 8):
        order = before.next_run()
        batch_id = await reload(world, order, version("a"))
        await load(world, await taken(world, batch_id), rows)
        [row] = await world.files(order.ingestion_id)
        assert (FileState.COMMITTED, batch_id, rows) == (row.state, row.batch_id, row.row_count)


async def test_a_key_is_on_its_way_once(world: World) -> None:
    """I1: two runs that reload the same key at the same moment; the second one's page is refused as a whole."""
    before = await loaded(world, "a", "b")
    orders = [before.next_run(), before.next_run()]
    claims = [await claimed(world, order) for order in orders]
    pages = [Page(batches=(replacing(*files),)) for files in (versions("a"), versions("b", "a"))]
    done = await asyncio.gather(
        *(world.scanner().record(claim, page) for claim, page in zip(claims, pages, strict=True)),
        return_exceptions=True,
    )
    assert [1, 1] == [sum(isinstance(d, Fenced) for d in done), sum(d is None for d in done)]
    assert 1 == sum([len(await planned(world, order)) for order in orders])


@pytest.mark.parametrize("state", ["unknown", "waiting"])
async def test_only_what_is_loaded_can_be_replaced(world: World, state: str) -> None:
    """Anything else is loaded as usual."""
    order = new_order()
    claim = await claimed(world, order)
    if state == "waiting":
        await world.scanner().record(claim, Page(taken=versions("a")))
    with pytest.raises(Fenced):
        await world.scanner().record(claim, Page(batches=(replacing(*versions("a")),)))
    assert [] == await planned(world, order)


async def test_a_scanner_sees_what_is_on_its_way_and_what_its_run_did(world: World) -> None:
    """So that a listing that is taken over plans nothing twice, and another run leaves alone what is under way."""
    before = await loaded(world, "a", "b", "c")
    order, other = before.next_run(), before.next_run()
    claim, others = await claimed(world, order), await claimed(world, other)
    one, two = replacing(*versions("a")), replacing(*versions("b"))
    await world.scanner().record(claim, Page(batches=(one, two)))
    await load(world, await taken(world, one.id))
    a, b, c = versions("a", "b", "c")
    under_way = Reload(order.run_id, FileState.BATCHED)
    done = Reload(order.run_id, FileState.COMMITTED)
    assert {a.digest: done, b.digest: under_way} == await world.scanner().reloads(claim, [a, b, c])
    assert {b.digest: under_way} == await world.scanner().reloads(others, [a, b, c])
    assert {} == await world.scanner().reloads(claim, [])


async def test_a_burned_reload_leaves_the_old_version_and_carries_the_good_files_on(world: World) -> None:
    """In another batch that replaces rows. The bad one is told, and can be asked for again."""
    order = (await loaded(world, "a", "b")).next_run()
    before = await world.files(order.ingestion_id)
    a, b = version("a", "v2"), version("b", "v2")
    batch_id = await reload(world, order, a, b)
    await world.executor().burned(await taken(world, batch_id), BurnVerdict({a.digest: Fate(FileState.FAILED, BAD)}))
    assert before == [f for f in await world.files(order.ingestion_id) if f.version_tag == "v1:10"]
    assert FileState.FAILED is (await states(world, order))["a@v2:10"]
    _, carried = await planned(world, order)
    claim = await taken(world, carried)
    assert (True, (b,)) == (claim.replaces_rows, await world.executor().files(claim))
    await load(world, claim)
    told = await facts(world, order)
    [failed] = [fact for fact in told if isinstance(fact, FileBatchFailed)]
    assert ((BAD,), 1, 1) == (failed.problems, failed.files_failed, failed.files_replanned)
    assert isinstance(told[-1], RunCompleted)
    assert "partial" == told[-1].outcome
    again = order.next_run()
    await load(world, await taken(world, await reload(world, again, a)))
    assert FileState.COMMITTED == (await states(world, again))["a@v2:10"]


async def test_a_reload_that_is_given_up_can_be_asked_for_again(world: World) -> None:
    """Halved or not, its files do not wait: they are loaded."""
    order = (await loaded(world, "a", "b")).next_run()
    batch_id = await reload(world, order, *versions("a", "b"))
    fates = {f.digest: Fate(FileState.DISCOVERED) for f in versions("a", "b")}
    await world.executor().burned(await taken(world, batch_id), BurnVerdict(fates, BAD))
    assert {FileState.COMMITTED} == set((await states(world, order)).values())
    again = order.next_run()
    claim = await claimed(world, again)
    assert {} == await world.scanner().reloads(claim, versions("a", "b"))
    await world.scanner().complete(claim, Page(batches=(replacing(*versions("a", "b")),)), ())


@pytest.mark.parametrize("is_staged", [False, True])
async def test_a_cancelled_reload_is_not_on_its_way_any_more(world: World, is_staged: bool) -> None:
    """Burned at once, or when an executor comes; the old version stays."""
    order = (await loaded(world, "a")).next_run()
    before = await world.files(order.ingestion_id)
    batch_id = await reload(world, order, version("a", "v2"))
    if is_staged:
        await world.executor().about_to_stage(await taken(world, batch_id))
    assert await world.cancel(order)
    if is_staged:
        await world.executor().burned(await taken(world, batch_id), BurnVerdict())
    assert BatchState.BURNED is await world.batch_state(batch_id)
    assert before == await world.files(order.ingestion_id)
    again = order.next_run()
    await load(world, await taken(world, await reload(world, again, version("a", "v2"))))


async def test_who_lost_the_batch_commits_nothing(world: World) -> None:
    """The old version stays until somebody with the claim says that the table has changed."""
    order = (await loaded(world, "a")).next_run()
    batch_id = await reload(world, order, version("a", "v2"))
    old = await taken(world, batch_id, timedelta(0))
    await load(world, await taken(world, batch_id))
    for late in (
        world.executor().published(old, PublishedBatch(8, 1, ())),
        world.executor().burned(old, BurnVerdict()),
        world.executor().loaded(old),
    ):
        with pytest.raises(Fenced):
            await late
    assert {"a@v1:10": FileState.SUPERSEDED, "a@v2:10": FileState.COMMITTED} == await states(world, order)


async def test_a_reload_of_an_older_generation_is_never_published(world: World) -> None:
    """I6, as for any batch."""
    order = (await loaded(world, "a")).next_run()
    batch_id = await reload(world, order, version("a", "v2"))
    await world.begin_generation(order.ingestion_id, 2)
    claim = await taken(world, batch_id)
    await world.executor().about_to_stage(claim)
    with pytest.raises(Fenced):
        await world.executor().publishing(claim, 1)
    assert {"a": FileState.COMMITTED} == await states(world, order)
