"""Files that were loaded, and written again: added beside what is loaded, put in its place, left, or refused."""

import asyncio
from dataclasses import replace

import pytest

from libs.common.contracts.events import Problem, RefreshTable, RunCompleted
from libs.common.errors import Fenced
from libs.common.ids import BatchId, new_refresh_id
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion, KnownVersion, Loaded, Refusal, Reload
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import FileState
from libs.common.selection.overwrites import refusal_of
from tests.contract.ledger.test_replacements import BAD, load, loaded, reload, replacing, taken
from tests.contract.ledger.worlds import Order, World, batch_of, claimed, facts, planned, states, version

pytestmark = pytest.mark.contract
OLD, NEW, NEWEST = version("a", "v1"), version("a", "v2"), version("a", "v3")


def added(*files: FileVersion) -> Page:
    """They are new versions of loaded keys, and wait in a batch."""
    return Page(taken=files, beside=tuple(f.digest for f in files), batches=(batch_of(*files),))


async def add(world: World, order: Order, *files: FileVersion) -> BatchId:
    """A run that found nothing but these."""
    page = added(*files)
    await world.scanner().complete(await claimed(world, order), page, ())
    return page.batches[0].id


async def both_loaded(world: World) -> Order:
    """Two versions of one key, of five rows and of three."""
    order = (await loaded(world, "a", "b")).next_run()
    await load(world, await taken(world, await add(world, order, NEW)), rows=3)
    return order


async def test_a_version_is_added_beside_the_one_that_is_loaded(world: World) -> None:
    """Both are committed, each in its batch."""
    order = await both_loaded(world)
    expected = {"a@v1:10": FileState.COMMITTED, "a@v2:10": FileState.COMMITTED, "b": FileState.COMMITTED}
    assert expected == await states(world, order)
    rows = {f.version_tag: f.row_count for f in await world.files(order.ingestion_id) if f.key == "a"}
    assert {"v1:10": 5, "v2:10": 3} == rows
    await load(world, await taken(world, await add(world, order.next_run(), NEWEST)))
    assert {FileState.COMMITTED} == set((await states(world, order)).values())


async def test_without_leave_a_second_version_of_a_loaded_key_is_refused(world: World) -> None:
    """I1: a page that does not say ``beside`` was decided when the key was not loaded."""
    order = (await loaded(world, "a")).next_run()
    with pytest.raises(Fenced):
        await world.scanner().record(await claimed(world, order), Page(taken=(NEW,)))
    assert {"a": FileState.COMMITTED} == await states(world, order)


async def test_one_version_is_on_its_way_beside_the_loaded_ones(world: World) -> None:
    """I1: a third one does not overtake the second, which is in a batch."""
    order = (await loaded(world, "a")).next_run()
    await add(world, order, NEW)
    with pytest.raises(Fenced):
        await world.scanner().record(await claimed(world, order.next_run()), added(NEWEST))


async def test_an_addition_that_failed_leaves_the_loaded_one_and_lets_the_next_come(world: World) -> None:
    order = (await loaded(world, "a")).next_run()
    batch_id = await add(world, order, NEW)
    await world.executor().burned(await taken(world, batch_id), BurnVerdict({NEW.digest: Fate(FileState.FAILED, BAD)}))
    assert {"a@v1:10": FileState.COMMITTED, "a@v2:10": FileState.FAILED} == await states(world, order)
    await load(world, await taken(world, await add(world, order.next_run(), NEWEST)))
    assert FileState.COMMITTED is (await states(world, order))["a@v3:10"]


async def test_a_reload_replaces_the_rows_of_all_versions(world: World) -> None:
    """They all say the same file in the table. One of them may be the version that arrives."""
    order = (await both_loaded(world)).next_run()
    claim = await taken(world, await reload(world, order, NEW))
    assert {NEW.digest: Loaded((OLD, NEW), 8)} == await world.executor().loaded(claim)
    await load(world, claim, rows=4, removed=8)
    expected = {"a@v1:10": FileState.SUPERSEDED, "a@v2:10": FileState.COMMITTED, "b": FileState.COMMITTED}
    assert expected == await states(world, order)


async def test_a_reload_to_the_earlier_version_takes_the_later_one_out(world: World) -> None:
    """Somebody wrote the old content back."""
    order = (await both_loaded(world)).next_run()
    await load(world, await taken(world, await reload(world, order, OLD)), removed=8)
    expected = {"a@v1:10": FileState.COMMITTED, "a@v2:10": FileState.SUPERSEDED, "b": FileState.COMMITTED}
    assert expected == await states(world, order)
    await add(world, order.next_run(), NEWEST)


@pytest.mark.parametrize("first", ["added", "replaced"])
async def test_a_key_is_not_added_to_and_replaced_at_once(world: World, first: str) -> None:
    """The new version's rows would be there twice. Whoever comes second looks again."""
    order = (await loaded(world, "a")).next_run()
    pages = {"added": added(NEW), "replaced": Page(batches=(replacing(NEW),))}
    await world.scanner().record(await claimed(world, order), pages.pop(first))
    [second] = pages.values()
    other = order.next_run()
    with pytest.raises(Fenced):
        await world.scanner().record(await claimed(world, other), second)
    assert [] == await planned(world, other)


async def test_of_an_addition_and_a_reload_at_one_moment_one_wins(world: World) -> None:
    """Many keys, in two orders."""
    keys = [f"k{n:02}" for n in range(20)]
    order = await loaded(world, *keys)
    files = [version(key, "v2") for key in keys]
    orders = [order.next_run(), order.next_run()]
    claims = [await claimed(world, each) for each in orders]
    pages = [added(*files), Page(batches=(replacing(*reversed(files)),))]
    done = await asyncio.gather(
        *(world.scanner().record(claim, page) for claim, page in zip(claims, pages, strict=True)),
        return_exceptions=True,
    )
    assert [1, 1] == [sum(isinstance(d, Fenced) for d in done), sum(d is None for d in done)]


async def test_a_version_that_waits_makes_room_for_a_reload(world: World) -> None:
    """Found as an addition, and given up; then the policy changed."""
    order = (await loaded(world, "a")).next_run()
    batch_id = await add(world, order, NEW)
    given_up = BurnVerdict({NEW.digest: Fate(FileState.DISCOVERED)}, BAD)
    await world.executor().burned(await taken(world, batch_id), given_up)
    assert FileState.DISCOVERED is (await states(world, order))["a@v2:10"]
    again, batch = order.next_run(), replacing(NEW)
    await world.scanner().complete(await claimed(world, again), Page(left=(NEW,), batches=(batch,)), ())
    await load(world, await taken(world, batch.id))
    assert {"a@v1:10": FileState.SUPERSEDED, "a@v2:10": FileState.COMMITTED} == await states(world, order)


async def test_a_version_that_is_left_is_remembered(world: World) -> None:
    """As skipped, by the run that saw it; no run counts it as found. The next one may take it."""
    order = (await loaded(world, "a")).next_run()
    claim = await claimed(world, order)
    await world.scanner().record(claim, Page(left=(NEW,), files_skipped=1))
    assert {"a@v1:10": FileState.COMMITTED, "a@v2:10": FileState.SKIPPED} == await states(world, order)
    assert (0, 1) == (
        (await facts(world, order))[-1].totals.files_discovered,
        (await facts(world, order))[-1].totals.files_skipped,
    )
    assert (0, 0) == await world.scanner().taken(claim)
    await world.scanner().complete(claim, Page(files_skipped=1), ())
    known = await world.scanner().known(claim, [NEW])
    assert KnownVersion("v2:10", FileState.SKIPPED, order.run_id, by_policy=True) in known[NEW.digest]
    await load(world, await taken(world, await add(world, order.next_run(), NEW)))
    assert FileState.COMMITTED is (await states(world, order))["a@v2:10"]


async def test_a_version_that_is_refused_fails_its_run_and_each_later_one(world: World) -> None:
    """The ledger knows that it failed by the policy, not for what it holds."""
    order = await loaded(world, "a")
    for _ in range(2):
        order = order.next_run()
        claim = await claimed(world, order)
        await world.scanner().complete(claim, Page(refused=(Refusal(NEW, refusal_of(NEW)),)), ())
        end = (await facts(world, order))[-1]
        assert isinstance(end, RunCompleted)
        assert ("failed", 1, 1) == (end.outcome, end.totals.files_discovered, end.totals.files_failed)
        known = await world.scanner().known(claim, [NEW])
        assert KnownVersion("v2:10", FileState.FAILED, order.run_id, by_policy=True) in known[NEW.digest]
    assert {"a@v1:10": FileState.COMMITTED, "a@v2:10": FileState.FAILED} == await states(world, order)


async def test_a_version_that_failed_to_replace_another_is_told_beside_it(world: World) -> None:
    """So no run tries it again by itself. What was given up has nothing to be told for."""
    order = (await loaded(world, "a", "b")).next_run()
    batch_id = await reload(world, order, NEW, version("b", "v2"))
    fates = {NEW.digest: Fate(FileState.FAILED, BAD), version("b").digest: Fate(FileState.DISCOVERED)}
    await world.executor().burned(await taken(world, batch_id), BurnVerdict(fates))
    [failed] = [f for f in await world.files(order.ingestion_id) if f.version_tag == "v2:10"]
    assert ("a", FileState.FAILED, None, "unparsable_file") == (
        failed.key,
        failed.state,
        failed.batch_id,
        failed.error_type,
    )
    assert {"a@v1:10": FileState.COMMITTED, "a@v2:10": FileState.FAILED, "b": FileState.COMMITTED} == await states(
        world, order
    )


async def test_the_same_version_that_failed_to_replace_itself_stays_committed(world: World) -> None:
    """Its rows are in the table."""
    order = (await loaded(world, "a")).next_run()
    batch_id = await reload(world, order, OLD)
    await world.executor().burned(await taken(world, batch_id), BurnVerdict({OLD.digest: Fate(FileState.FAILED, BAD)}))
    assert {"a": FileState.COMMITTED} == await states(world, order)


async def test_a_retry_sees_what_its_run_could_not_replace(world: World) -> None:
    """Unless the retry itself has done something about it, or another run is at it."""
    order = (await loaded(world, "a", "b")).next_run()
    files = (NEW, version("b", "v2"))
    batch_id = await reload(world, order, *files)
    fates = {f.digest: Fate(FileState.DISCOVERED) for f in files}
    problem = Problem(error_type="spark_unavailable", message="away")
    await world.executor().burned(await taken(world, batch_id), BurnVerdict(fates, problem))
    retry = order.next_run()
    claim = await claimed(world, retry)
    left = Reload(order.run_id, FileState.DISCOVERED)
    assert {f.digest: left for f in files} == await world.scanner().reloads(claim, files, retry_of=order.run_id)
    assert {} == await world.scanner().reloads(claim, files)
    await world.scanner().record(claim, Page(batches=(replacing(NEW),)))
    own = Reload(retry.run_id, FileState.BATCHED)
    assert {NEW.digest: own, files[1].digest: left} == await world.scanner().reloads(
        claim, files, retry_of=order.run_id
    )


async def test_what_is_on_its_way_counts_as_taken_once(world: World) -> None:
    """A capped run that is taken over goes on counting: before the replacement is published, and after."""
    order = (await loaded(world, "a", "b", "c")).next_run()
    claim = await claimed(world, order)
    batch = replacing(replace(NEW, size_bytes=7), version("b", "v2"))
    await world.scanner().record(claim, Page(batches=(batch,)))
    assert (2, 17) == await world.scanner().taken(claim)
    await load(world, await taken(world, batch.id))
    assert (2, 17) == await world.scanner().taken(claim)


async def test_all_loaded_versions_are_the_baseline_of_a_new_table(world: World) -> None:
    """And a later one can still be added."""
    order = await both_loaded(world)
    generation = await new_only(world, order)
    rows = [f for f in await world.files(order.ingestion_id) if f.state is FileState.BASELINE]
    assert [("a", "v1:10"), ("a", "v2:10"), ("b", "v1:10")] == [(f.key, f.version_tag) for f in rows]
    after = replace(order.next_run(), generation=generation)
    claim = await taken(world, await reload(world, after, NEWEST))
    assert {NEW.digest: Loaded((OLD, NEW), 0)} == await world.executor().loaded(claim)
    await load(world, claim)
    await add(world, replace(order.next_run(), generation=generation), version("a", "v4"))


async def new_only(world: World, order: Order) -> int:
    """A new-only refresh, as far as the ledger goes."""
    refresh_id, generation = new_refresh_id(), order.generation + 1
    command = RefreshTable(
        refresh_id=refresh_id,
        ingestion_id=order.ingestion_id,
        mode="new_only",
        from_generation=order.generation,
        to_generation=generation,
    )
    await world.refresher().remember(command)
    claim = await world.refresher().claim(refresh_id)
    assert claim is not None
    await world.refresher().fence(claim)
    await world.refresher().carry_history(claim)
    await world.refresher().end(claim)
    return generation
