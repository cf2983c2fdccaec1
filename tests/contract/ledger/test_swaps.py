"""The ledger's side of a swap: what is built, what takes the place of what, and how that stands in the history."""

from dataclasses import replace
from typing import Any

import pytest

from libs.common.contracts.events import Problem, RefreshMode, RefreshTable, TableRefreshed, TableRefreshFailed
from libs.common.ids import BatchId, RefreshId, new_batch_id, new_refresh_id
from libs.common.ledger.model.batches import PlannedBatch, PublishedBatch
from libs.common.ledger.model.files import BadRecords
from libs.common.ledger.model.refreshes import BuiltAside, RefreshClaim, ReplacedRows
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import BatchState, FileState
from tests.contract.ledger.worlds import Order, World, batch_of, claimed, new_order, scanned, version, versions

pytestmark = pytest.mark.contract

BUILT = "lake.demo.t__new_x"
PUT_IN = {"snapshot_id": 90, "replaced_snapshot": 70, "row_count": 5, "bytes_written": 100}


async def begun(world: World, order: Order, mode: RefreshMode, of: int, **more: Any) -> RefreshClaim:
    """A refresh of the generation ``of``, fenced."""
    asked = RefreshTable(
        refresh_id=new_refresh_id(), ingestion_id=order.ingestion_id, mode=mode, from_generation=of,
        to_generation=of + 1, **more,
    )  # fmt: skip
    await world.refresher().remember(asked)
    claim = await world.refresher().claim(RefreshId(asked.refresh_id))
    assert claim is not None
    await world.refresher().fence(claim)
    return claim


async def ended(world: World, claim: RefreshClaim, **found: Any) -> None:
    await world.refresher().reached(claim, "created", **found)
    for _ in range(2):
        await world.refresher().carry_history(claim)
    await world.refresher().end(claim)


async def loaded(world: World, order: Order, snapshot_id: int, *keys: str, rows: int) -> BatchId:
    [batch_id] = await scanned(world, order, versions(*keys))
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    each = dict.fromkeys((f.digest for f in versions(*keys)), rows // len(keys))
    await world.executor().staged(claim, each)
    await world.executor().published(claim, PublishedBatch(snapshot_id, 500, ()))
    return batch_id


async def built(world: World) -> tuple[Order, RefreshClaim]:
    """One file is loaded; a refresh builds its table aside, and a run has loaded that file and another one there."""
    order = new_order()
    await loaded(world, order, 7, "a", rows=2)
    refresh = await begun(world, order, "full", 1, strategy="swap")
    assert refresh.builds_aside
    assert not refresh.replaces_all
    await ended(world, refresh, builds=BUILT)
    await loaded(world, replace(order.next_run(), generation=2), 8, "a", "b", rows=4)
    return order, refresh


async def known(world: World, order: Order, generation: int) -> dict[FileState, int]:
    newer = replace(order.next_run(), generation=generation)
    found = await world.scanner().known(await claimed(world, newer), versions("a", "b"))
    states = [v.state for of_key in found.values() for v in of_key]
    return {state: states.count(state) for state in states}


async def test_the_table_that_was_built_is_what_the_api_and_the_swap_are_told(world: World) -> None:
    """By its name; the swap takes over the history of the generation that was loaded there."""
    order, refresh = await built(world)
    swap = await begun(world, order, "swap", 2, completes=refresh.id)
    assert BuiltAside("t__new_x", 2) == swap.kept
    assert swap.replaces_all
    assert 4 == await world.swapper().rows(2, swap)
    files = await world.swapper().files(2, swap)
    assert files is not None
    assert set(versions("a", "b")) == set(files)
    [end] = [m for m in await world.messages() if isinstance(m, TableRefreshed) and m.refresh_id == refresh.id]
    assert BUILT == end.builds


async def test_all_rows_stand_in_the_ledger_as_one_batch(world: World) -> None:
    """Of the new generation, published, with every file; the batches that they came in stay with the table that was
    built. Doing it twice is as good as once."""
    order, refresh = await built(world)
    swap = await begun(world, order, "swap", 2, completes=refresh.id)
    await ended(world, swap, **PUT_IN)
    assert BatchState.PUBLISHED == await world.batch_state(BatchId(swap.id))
    current = [f for f in await world.files(order.ingestion_id) if f.batch_id == swap.id]
    assert ["a", "b"] == [f.key for f in current]
    assert 5 == await world.swapper().rows(3, swap)
    assert await world.executor().has_published(order.ingestion_id, 3)
    assert await world.executor().has_published(order.ingestion_id, 2)
    assert {FileState.COMMITTED: 2} == await known(world, order, 3)
    [end] = [m for m in await world.messages() if isinstance(m, TableRefreshed) and m.refresh_id == swap.id]
    assert (70, 5, 2) == (end.replaced_snapshot, end.rows, end.files_kept)


async def test_undone_after_it_the_history_of_the_old_rows_comes_back(world: World) -> None:
    """From the snapshot that has them, as one batch again."""
    order, refresh = await built(world)
    await ended(world, await begun(world, order, "swap", 2, completes=refresh.id), **PUT_IN)
    undo = await begun(world, order, "undo", 3, undoes=refresh.id, strategy="swap")
    assert ReplacedRows(70, 1) == undo.kept
    assert undo.replaces_all
    await ended(world, undo, snapshot_id=91, replaced_snapshot=90, row_count=2, bytes_written=50)
    assert ["a"] == [f.key for f in await world.files(order.ingestion_id) if f.batch_id == undo.id]
    assert {FileState.COMMITTED: 1} == await known(world, order, 4)


async def test_undone_before_it_the_old_history_goes_on_as_it_was(world: World) -> None:
    """The table was never touched: its batches are known by what they were."""
    order, refresh = await built(world)
    undo = await begun(world, order, "undo", 2, undoes=refresh.id, strategy="swap")
    assert BuiltAside("t__new_x", 1) == undo.kept
    assert not undo.replaces_all
    await ended(world, undo)
    assert {FileState.COMMITTED: 1} == await known(world, order, 3)
    assert 2 == await world.swapper().rows(3, undo)


async def test_a_swap_waits_for_what_may_pass_by_itself(world: World) -> None:
    """Nobody is there to ask again. What somebody has to change ends it, and nothing was changed."""
    order, refresh = await built(world)
    asked = RefreshTable(
        refresh_id=new_refresh_id(), ingestion_id=order.ingestion_id, mode="swap", from_generation=2, to_generation=3,
        completes=refresh.id,
    )  # fmt: skip
    await world.refresher().remember(asked)
    claim = await world.refresher().claim(RefreshId(asked.refresh_id))
    assert claim is not None
    away, gone = (Problem(error_type=word, message=word) for word in ("spark_unreachable", "built_table_gone"))
    await world.refresher().tell(claim, away, may_pass=True)
    assert "requested" == await world.refresher().phase(claim)
    await world.refresher().tell(claim, gone)
    assert await world.refresher().claim(claim.id) is None
    assert [("spark_unreachable", False), ("built_table_gone", True)] == [
        (m.problem.error_type, m.is_over) for m in await world.messages() if isinstance(m, TableRefreshFailed)
        and m.refresh_id == asked.refresh_id
    ]  # fmt: skip
    assert {FileState.COMMITTED: 2} == await known(world, order, 2)


async def test_bad_records_go_on_with_the_files_that_they_are_of(world: World) -> None:
    """The quarantine knows them by the batch that set them aside: a reload takes them out by that name, also when rows
    were swapped twice since."""
    order = new_order()
    refresh = await begun(world, order, "full", 1, strategy="swap")
    await ended(world, refresh, builds=BUILT)
    building = replace(order.next_run(), generation=2)
    [origin] = await scanned(world, building, versions("a", "b"))
    claim = await world.executor().claim(origin)
    assert claim is not None
    [bad, _] = versions("a", "b")
    aside = {bad.digest: BadRecords(2, ())}
    await world.executor().staged(claim, dict.fromkeys((f.digest for f in versions("a", "b")), 1), aside)
    await world.executor().published(claim, PublishedBatch(8, 500, ()))
    swap = await begun(world, order, "swap", 2, completes=refresh.id)
    await ended(world, swap, **PUT_IN)
    again = await begun(world, order, "full", 3, strategy="swap")
    await ended(world, again, builds="lake.demo.t__new_y")
    await ended(world, await begun(world, order, "swap", 4, completes=again.id), **PUT_IN)
    await ended(world, await begun(world, order, "undo", 5, undoes=again.id, strategy="swap"), **PUT_IN)

    reload = PlannedBatch(new_batch_id(), versions("a", "b"), replaces_rows=True)
    newest = replace(order.next_run(), generation=6)
    scan = await claimed(world, newest)
    await world.scanner().complete(scan, Page(batches=(reload,)), ())
    taken = await world.executor().claim(reload.id)
    assert taken is not None
    loaded_now = await world.executor().loaded(taken)
    assert {bad.key: (origin,), "b": ()} == {f.files[0].key: f.bad_from for f in loaded_now.values()}


async def test_two_versions_of_a_key_keep_their_bad_records_apart(world: World) -> None:
    """Both are in the table (``allow_overwrites: append``), and each has some."""
    order = new_order()
    refresh = await begun(world, order, "full", 1, strategy="swap")
    await ended(world, refresh, builds=BUILT)
    building = replace(order.next_run(), generation=2)
    origins: list[BatchId] = []
    for tag in ("v1", "v2"):
        file = version("a", tag)
        page = Page(taken=(file,), beside=(file.digest,) if origins else (), batches=(batch_of(file),))
        await world.scanner().complete(await claimed(world, building), page, ())
        claim = await world.executor().claim(page.batches[0].id)
        assert claim is not None
        await world.executor().staged(claim, {file.digest: 1}, {file.digest: BadRecords(1, ())})
        await world.executor().published(claim, PublishedBatch(8, 500, ()))
        origins.append(claim.id)
        building = building.next_run()
    await ended(world, await begun(world, order, "swap", 2, completes=refresh.id), **PUT_IN)

    new = version("a", "v3")
    reload = PlannedBatch(new_batch_id(), (new,), replaces_rows=True)
    await world.scanner().complete(
        await claimed(world, replace(order.next_run(), generation=3)), Page(batches=(reload,)), ()
    )
    taken = await world.executor().claim(reload.id)
    assert taken is not None
    [there] = (await world.executor().loaded(taken)).values()
    assert set(origins) == set(there.bad_from)
