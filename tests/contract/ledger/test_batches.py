"""What an executor may rely on: one worker per batch, guarded steps, and runs that end exactly once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.common.contracts.events import (
    FileBatchCommitted,
    FileBatchFailed,
    Problem,
    RunCompleted,
    ScanProgress,
    Totals,
)
from libs.common.errors import Fenced
from libs.common.ids import BatchId, new_batch_id
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Fate, PublishedBatch, Standing
from libs.common.ledger.model.columns import Column, Decisions, Proposal
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import BatchState, FileState
from tests.contract.ledger.worlds import (
    LONG,
    SHORT,
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
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract
NEVER = timedelta(0)
BAD = Problem(error_type="unparsable_file", message="a line is no JSON", file="s3://landing/a")
AWAY = Problem(error_type="spark_unreachable", message="Spark is away")
COLUMNS = (Column("id", "bigint"), Column("name", "string"))


async def taken(world: World, batch_id: BatchId, lease: timedelta = LONG) -> BatchClaim:
    claim = await world.executor(lease).claim(batch_id)
    assert claim is not None
    return claim


def found(snapshot_id: int = 77, columns: tuple[Column, ...] = COLUMNS, cause_key: str | None = None) -> PublishedBatch:
    return PublishedBatch(snapshot_id, 500, columns, cause_key)


async def completions(world: World, run_id: object) -> list[RunCompleted]:
    return [m for m in await world.messages() if isinstance(m, RunCompleted) and m.run_id == run_id]


# --- claims -----------------------------------------------------------------------------------------------------


async def test_one_executor_gets_a_batch_however_many_ask(world: World) -> None:
    """Its message was delivered ten times."""
    (batch_id,) = await scanned(world, new_order(), versions("a"))
    asked = [world.executor(owner=f"e{n}").claim(batch_id) for n in range(10)]
    assert 1 == len([claim for claim in await asyncio.gather(*asked) if claim is not None])


async def test_an_unknown_batch_is_nobodys(world: World) -> None:
    """A message from another installation."""
    assert await world.executor().claim(new_batch_id()) is None


async def test_a_silent_executor_is_replaced_when_its_lease_ends(world: World) -> None:
    """The successor has a higher token, the same files, and the same name to publish under."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a", "b"))
    first = await taken(world, batch_id, SHORT)
    second = await eventually(lambda: world.executor().claim(batch_id))
    assert replace(first, token=first.token + 1, attempt=2) == second
    assert first.wap_id == second.wap_id == f"al1:{order.ingestion_id}:1:{batch_id}"
    assert versions("a", "b") == await world.executor().files(second)


STEPS: dict[str, Callable[[World, BatchClaim], Awaitable[object]]] = {
    "standing": lambda world, claim: world.executor().standing(claim),
    "extend": lambda world, claim: world.executor().extend(claim),
    "about_to_stage": lambda world, claim: world.executor().about_to_stage(claim),
    "staged": lambda world, claim: world.executor().staged(claim, {version("a").digest: 5}),
    "publishing": lambda world, claim: world.executor().publishing(claim, 7),
    "published": lambda world, claim: world.executor().published(claim, found()),
    "burning": lambda world, claim: world.executor().burning(claim),
    "burned": lambda world, claim: world.executor().burned(claim, BurnVerdict()),
}


@pytest.mark.parametrize("step", STEPS)
async def test_an_executor_that_was_replaced_writes_nothing(world: World, step: str) -> None:
    """At whichever step it wakes up again."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    zombie = await taken(world, batch_id, NEVER)
    successor = await eventually(lambda: world.executor().claim(batch_id))
    before = (await world.files(order.ingestion_id), await world.messages())
    with pytest.raises(Fenced):
        await STEPS[step](world, zombie)
    assert before == (await world.files(order.ingestion_id), await world.messages())
    assert Standing(BatchState.LEASED, may_be_staged=False) == await world.executor().standing(successor)


@pytest.mark.parametrize("step", sorted(STEPS.keys() - {"extend"}))
@pytest.mark.parametrize("end", ["published", "burned"])
async def test_a_batch_that_ended_does_not_move_again(world: World, step: str, end: str) -> None:
    """Not even by the hand that ended it; and nobody gets it any more."""
    order = new_order()
    batch_id, _ = await scanned(world, order, versions("a"), versions("b"))
    claim = await taken(world, batch_id)
    await STEPS[end](world, claim)
    before = (await world.files(order.ingestion_id), await world.messages())
    with pytest.raises(Fenced):
        await STEPS[step](world, claim)
    assert before == (await world.files(order.ingestion_id), await world.messages())
    assert (None, BatchState(end)) == (await world.executor().claim(batch_id), await world.batch_state(batch_id))


async def test_a_heartbeat_that_crosses_the_end_of_its_own_batch_is_no_alarm(world: World) -> None:
    """The claim was not lost: it was used up."""
    (batch_id,) = await scanned(world, new_order(), versions("a"))
    claim = await taken(world, batch_id)
    await world.executor().published(claim, found())
    await world.executor().extend(claim)


async def test_every_step_gives_a_full_lease(world: World) -> None:
    """A batch whose steps take their time is not taken away between them."""
    batch_id, other = await scanned(world, new_order(), versions("a"), versions("b"))
    claim = await taken(world, batch_id, SHORT)
    await world.executor().about_to_stage(claim)
    await taken(world, other, SHORT)
    assert await eventually(lambda: world.executor().claim(other))
    assert await world.executor().claim(batch_id) is None


async def test_a_batch_that_is_given_back_is_free_at_once(world: World) -> None:
    """With what is known of it: a staged copy may be there."""
    (batch_id,) = await scanned(world, new_order(), versions("a"))
    claim = await taken(world, batch_id)
    await world.executor().about_to_stage(claim)
    await world.executor().release(claim, error="stopped \0 by hand")
    again = await taken(world, batch_id)
    assert 2 == again.attempt
    assert Standing(BatchState.LEASED, may_be_staged=True) == await world.executor().standing(again)


async def test_a_give_back_may_not_count_as_an_attempt(world: World) -> None:
    """Nothing was attempted; the token grows all the same."""
    (batch_id,) = await scanned(world, new_order(), versions("a"))
    first = await taken(world, batch_id)
    await world.executor().release(first, error="nobody is there", counts=False)
    second = await taken(world, batch_id)
    assert (1, first.token + 1) == (second.attempt, second.token)
    await world.executor().release(second, error="tried")
    assert 2 == (await taken(world, batch_id)).attempt


async def test_a_late_give_back_does_not_disturb_the_successor(world: World) -> None:
    """The token guards it."""
    (batch_id,) = await scanned(world, new_order(), versions("a"))
    zombie = await taken(world, batch_id)
    await world.executor().release(zombie, error="first")
    await taken(world, batch_id)
    await world.executor().release(zombie, error="second")
    assert await world.executor().claim(batch_id) is None


async def test_a_burn_that_was_begun_stays_a_burn(world: World) -> None:
    """The successor must not try to publish."""
    (batch_id,) = await scanned(world, new_order(), versions("a"))
    first = await taken(world, batch_id)
    await world.executor().burning(first)
    await world.executor().release(first, error="away")
    second = await taken(world, batch_id)
    assert BatchState.BURNING == (await world.executor().standing(second)).state


async def test_batches_that_nobody_works_on_are_found(world: World) -> None:
    """Their lease ended, or nobody came in time. Those that are held, fresh or finished are not."""
    order = new_order()
    expired, lonely, held, done = await scanned(world, order, *(versions(k) for k in "abcd"))
    await taken(world, expired, NEVER)
    await taken(world, held)
    await world.executor().published(await taken(world, done), found())
    ours = {expired, lonely, held, done}

    async def claimable(planned_before: timedelta) -> set[BatchId]:
        return ours & set(await world.executor().claimable(planned_before=planned_before, limit=1000))

    async def is_found(expected: set[BatchId], planned_before: timedelta) -> bool:
        return expected == await claimable(planned_before)

    await eventually(lambda: is_found({expired}, LONG))
    await eventually(lambda: is_found({expired, lonely}, NEVER))
    assert 1 == len(await world.executor().claimable(planned_before=NEVER, limit=1))


# --- the protocol's steps ---------------------------------------------------------------------------------------


async def test_files_come_in_the_order_of_their_bytes(world: World) -> None:
    """As the store lists them, whatever language the database sorts in; the same for every attempt."""
    files = versions("B", "a", "b c", "b-c", "bc", "é", "😀")
    (batch_id,) = await scanned(world, new_order(), files[::-1])
    assert files == await world.executor().files(await taken(world, batch_id))


async def test_a_published_batch_commits_its_files_and_tells(world: World) -> None:
    """Everything at once: states, rows, totals, event, and the end of the run."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a", "b"))
    claim, ledger = await taken(world, batch_id), world.executor()
    assert not await ledger.has_published(order.ingestion_id, 1)
    await ledger.about_to_stage(claim)
    await ledger.staged(claim, {version("a").digest: 5, version("b").digest: 0})
    assert Standing(BatchState.STAGED, may_be_staged=True) == await ledger.standing(claim)
    await ledger.publishing(claim, 7)
    assert Standing(BatchState.PUBLISHING, may_be_staged=True, publish_base=7) == await ledger.standing(claim)
    await ledger.published(claim, found())
    rows = await world.files(order.ingestion_id)
    assert [("a", FileState.COMMITTED, 5), ("b", FileState.COMMITTED, 0)] == [
        (r.key, r.state, r.row_count) for r in rows
    ]
    *_, committed, ended = await facts(world, order)
    assert isinstance(committed, FileBatchCommitted)
    assert (batch_id, 77, 2, 5, 20) == (
        committed.batch_id,
        committed.snapshot_id,
        committed.files,
        committed.records,
        committed.size_bytes,
    )
    totals = Totals(
        files_discovered=2,
        files_done=2,
        batches_planned=1,
        batches_done=1,
        records_ingested=5,
        bytes_read=20,
        bytes_written=500,
        schema_version=1,
    )
    assert (totals, totals) == (committed.totals, ended.totals)
    assert isinstance(ended, RunCompleted)
    assert "success" == ended.outcome
    assert await ledger.has_published(order.ingestion_id, 1)
    assert not await ledger.has_published(order.ingestion_id, 2)


async def test_counts_of_a_staging_survive_its_executor(world: World) -> None:
    """The next one finds the batch published, and cannot count any more."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    first = await taken(world, batch_id)
    await world.executor().about_to_stage(first)
    await world.executor().staged(first, {version("a").digest: 5})
    await world.executor().publishing(first, 7)
    await world.executor().release(first, error="crash")
    await world.executor().published(await taken(world, batch_id), found())
    assert 5 == (await facts(world, order))[-1].totals.records_ingested


async def test_a_second_staging_counts_afresh(world: World) -> None:
    """Not on top of the first."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    claim = await taken(world, batch_id)
    for rows in (5, 7):
        await world.executor().staged(claim, {version("a").digest: rows})
    await world.executor().published(claim, found())
    assert [7] == [r.row_count for r in await world.files(order.ingestion_id)]
    assert 7 == (await facts(world, order))[-1].totals.records_ingested


async def test_good_files_of_a_burned_batch_go_on_in_a_new_one(world: World) -> None:
    """The bad ones meet their fates, and the run waits for the rest."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a", "b", "c"))
    claim = await taken(world, batch_id)
    fates = {version("a").digest: Fate(FileState.FAILED, BAD), version("c").digest: Fate(FileState.MISSING)}
    await world.executor().burned(claim, BurnVerdict(fates))
    assert {"a": FileState.FAILED, "b": FileState.BATCHED, "c": FileState.MISSING} == await states(world, order)
    failed = (await facts(world, order))[-1]
    assert isinstance(failed, FileBatchFailed)
    assert ((BAD,), 2, 1) == (failed.problems, failed.files_failed, failed.files_replanned)
    assert Totals(files_discovered=3, files_failed=2, batches_planned=2, batches_done=1) == failed.totals
    first, second = await planned(world, order)
    assert batch_id == first
    assert versions("b") == await world.executor().files(await taken(world, second))
    assert [] == await completions(world, order.run_id)


async def test_a_burned_batch_without_good_files_ends_its_run(world: World) -> None:
    """Nothing is planned for nobody."""
    order = new_order()
    (batch_id,) = await scanned(world, order, versions("a"))
    await world.executor().burned(
        await taken(world, batch_id), BurnVerdict({version("a").digest: Fate(FileState.FAILED, BAD)})
    )
    assert [batch_id] == await planned(world, order)
    assert ["failed"] == [c.outcome for c in await completions(world, order.run_id)]


async def test_a_batch_that_was_given_up_leaves_its_files_waiting(world: World) -> None:
    """With the reason, so that a second listing of this run counts them anew, and the next run takes them."""
    order = new_order()
    scan = await claimed(world, order)
    files = versions("a", "b")
    batch = batch_of(*files)
    await world.scanner().record(scan, Page(taken=files, batches=(batch,)))
    verdict = BurnVerdict({f.digest: Fate(FileState.DISCOVERED) for f in files}, AWAY)
    await world.executor().burned(await taken(world, batch.id), verdict)
    known = await world.scanner().known(scan, files)
    assert [(FileState.DISCOVERED, True)] * 2 == [
        (known[f.digest][0].state, known[f.digest][0].given_up) for f in files
    ]
    failed = (await facts(world, order))[-1]
    assert isinstance(failed, FileBatchFailed)
    assert ((AWAY,), 2) == (failed.problems, failed.files_failed)
    await world.scanner().record(scan, Page(taken=files, batches=(batch_of(*files),)))
    known = await world.scanner().known(scan, files)
    assert [(FileState.BATCHED, False)] * 2 == [(known[f.digest][0].state, known[f.digest][0].given_up) for f in files]
    totals = (await facts(world, order))[-1].totals
    assert (4, 2) == (totals.files_discovered, totals.files_failed)


async def test_a_large_batch_is_given_up_in_one_go(world: World) -> None:
    """Within a fraction of a lease."""
    order = new_order()
    files = versions(*(f"k{n:04}" for n in range(2000)))
    (batch_id,) = await scanned(world, order, files)
    verdict = BurnVerdict({f.digest: Fate(FileState.DISCOVERED) for f in files}, AWAY)
    async with asyncio.timeout(5):
        await world.executor().burned(await taken(world, batch_id), verdict)
    assert 2000 * [FileState.DISCOVERED] == [r.state for r in await world.files(order.ingestion_id)]


# --- many at once -----------------------------------------------------------------------------------------------


async def test_the_last_two_batches_end_the_run_once(world: World) -> None:
    """However close together they finish (F37)."""
    for _ in range(10):
        order = new_order()
        batches = await scanned(world, order, versions("a"), versions("b"))
        claims = [await taken(world, batch_id) for batch_id in batches]
        await asyncio.gather(*(world.executor().published(claim, found()) for claim in claims))
        (end,) = await completions(world, order.run_id)
        assert ("success", 2) == (end.outcome, end.totals.files_done)


async def test_a_listing_and_its_last_batch_end_the_run_once(world: World) -> None:
    """The scanner's last word and the executor's may come at the same moment."""
    for _ in range(10):
        order = new_order()
        scan = await claimed(world, order)
        files = versions("a")
        batch = batch_of(*files)
        await world.scanner().record(scan, Page(taken=files, batches=(batch,)))
        claim = await taken(world, batch.id)
        await asyncio.gather(
            world.scanner().complete(scan, Page(), ()),
            world.executor().published(claim, found()),
        )
        assert 1 == len(await completions(world, order.run_id))


async def test_facts_are_numbered_without_a_gap_in_the_order_in_which_they_go_out(world: World) -> None:
    """Twenty batches end at once, half of them burned, while the listing goes on (I8)."""
    order = new_order()
    scan = await claimed(world, order)
    batches = [batch_of(version(f"{n:02}a"), version(f"{n:02}b")) for n in range(20)]
    await world.scanner().record(scan, Page(taken=tuple(f for b in batches for f in b.files), batches=tuple(batches)))
    claims = [await taken(world, b.id) for b in batches]

    async def end(number: int, claim: BatchClaim) -> None:
        if number % 2:
            await world.executor().published(claim, found(number))
        else:
            bad = batches[number].files[0].digest
            await world.executor().burned(claim, BurnVerdict({bad: Fate(FileState.FAILED, BAD)}))

    async def list_on() -> None:
        for page in range(10):
            await world.scanner().record(scan, Page(taken=versions(f"p{page}a", f"p{page}b"), files_skipped=page))
        rest = tuple(f for page in range(10) for f in versions(f"p{page}a", f"p{page}b"))
        await world.scanner().complete(scan, Page(batches=(batch_of(*rest),)), ())

    await asyncio.gather(list_on(), *(end(number, claim) for number, claim in enumerate(claims)))
    left = [b for b in await planned(world, order) if (await world.batch_state(b)) is BatchState.PLANNED]
    assert 11 == len(left)
    await asyncio.gather(*[_publish(world, b) for b in left])
    told = await facts(world, order)
    assert list(range(1, len(told) + 1)) == [fact.seq for fact in told]
    assert [RunCompleted] == [type(fact) for fact in told[-1:]]
    assert 1 == len(await completions(world, order.run_id))
    assert 10 == sum(isinstance(fact, ScanProgress) and fact.totals.files_skipped > 0 for fact in told) + 1
    for name in ("files_discovered", "files_done", "files_failed", "batches_planned", "batches_done"):
        numbers = [getattr(fact.totals, name) for fact in told]
        assert sorted(numbers) == numbers
    last = told[-1].totals
    assert (60, 50, 10) == (last.files_discovered, last.files_done, last.files_failed)
    assert (31, 31) == (last.batches_planned, last.batches_done)


async def _publish(world: World, batch_id: BatchId) -> None:
    await world.executor().published(await taken(world, batch_id), found())


async def test_schema_versions_are_numbered_once_each(world: World) -> None:
    """Many batches bring the same two schemas at the same time; an older one seen again is no new version."""
    order = new_order()
    batches = await scanned(world, order, *(versions(str(n)) for n in range(12)))
    wider = (*COLUMNS, Column("extra", "double"))
    await _publish(world, batches[0])
    claims = [await taken(world, b) for b in batches[1:]]
    await asyncio.gather(
        *(world.executor().published(c, found(n, wider if n % 2 else COLUMNS)) for n, c in enumerate(claims))
    )
    told = [fact.totals.schema_version for fact in await facts(world, order) if isinstance(fact, FileBatchCommitted)]
    assert {1, 2} == set(told)
    assert sorted(told, key=lambda v: v or 0) == told


async def test_another_generation_counts_its_schemas_from_one(world: World) -> None:
    """Its table is a new one."""
    order = new_order()
    await _publish(world, (await scanned(world, order, versions("a")))[0])
    newer = replace(order.next_run(), generation=2)
    await world.begin_generation(order.ingestion_id, 2)
    (batch_id,) = await scanned(world, newer, versions("a"))
    await world.executor().published(await taken(world, batch_id), found(columns=(Column("other", "string"),)))
    assert 1 == (await facts(world, newer))[-1].totals.schema_version


async def test_columns_that_wait_are_proposed_once_and_by_who_holds_the_batch(world: World) -> None:
    """Nothing is decided by it; and who lost the claim cannot propose."""
    order = new_order()
    claim = await taken(world, (await scanned(world, order, versions("a")))[0])
    proposals = [Proposal("meta.ts", "string", "s3://b/a.json", '"\x00"'), Proposal("x", "date")]
    await world.executor().propose(claim, proposals)
    await world.executor().propose(claim, proposals)
    assert Decisions() == await world.executor().decisions(claim)
    with pytest.raises(Fenced):
        await world.executor().propose(replace(claim, token=claim.token + 1), proposals)
