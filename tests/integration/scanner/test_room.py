"""A scanner whose executors are behind: it stands still, keeps its claim, and lets others go on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from libs.common.aside import Aside
from libs.common.contracts.definition import Credentials
from libs.common.contracts.scope import Scope
from libs.common.ids import BatchId, RunId, TenantId
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.cancellations import cancel_run
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FINAL_BATCH_STATES
from libs.common.ledger.tables import batch, file, scan
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.executor.handlers import Batches, Patience
from services.scanner.domain.room import RoomLimits
from services.scanner.handlers import Scans
from tests.integration.scanner.harness import LONG, Harness, PausingObjects
from tests.support.eventually import eventually

pytestmark = pytest.mark.integration
FILES = 3_000


class CountedObjects(PausingObjects):
    """Lists like another store, and counts the pages that it was asked for."""

    pages_given = 0

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[FileVersion]]:
        async for page in self._inner.pages(bucket, prefix, credentials):
            self.pages_given += 1
            yield page


def of_a_tenant(database: Database, page_size: int = 4) -> Harness:
    """An ingestion of a tenant of its own: other tests' batches are none of its business."""
    return Harness(database, tenant_id=TenantId(uuid4().hex), page_size=page_size)


async def unfinished(harness: Harness) -> int:
    query = select(func.count()).where(
        batch.c.ingestion_id == harness.ingestion_id, batch.c.state.not_in(FINAL_BATCH_STATES)
    )
    async with harness.database.read() as connection:
        return (await connection.execute(query)).scalar_one()


async def stands_still(harness: Harness, scans: Scans, run_id: RunId) -> asyncio.Task[None]:
    """A listing that has begun, and has no more room."""
    listing = asyncio.create_task(harness.scan(run_id, scans))
    await eventually(lambda: _is_full(harness), 60)
    return listing


async def _is_full(harness: Harness) -> bool:
    return await unfinished(harness) >= harness.room.of_ingestion_max


async def test_thousands_of_files_wait_in_the_store_and_not_in_the_ledger(database: Database) -> None:
    """Nobody loads: so many batches wait, and no more, and the store is not asked for another page. Then executors come
    back, and each file is loaded once."""
    harness = of_a_tenant(database, page_size=500)
    harness.batch_files, harness.room = 50, RoomLimits(20, 1000)
    keys = [f"in/{n:05}.json" for n in range(FILES)]
    harness.put(*keys)
    counted = CountedObjects(harness.objects)
    run_id = await harness.new_run()
    scans = harness.scans(objects=counted, heartbeat=timedelta(milliseconds=20))
    listing = await stands_still(harness, scans, run_id)
    asked_for = counted.pages_given
    most = 0
    while not listing.done():
        most = max(most, await unfinished(harness))
        pages = counted.pages_given
        await harness.load(run_id)
        await asyncio.wait({listing}, timeout=0.05)
        assert counted.pages_given <= pages + 4
    await listing
    await harness.load(run_id)
    assert asked_for <= 3
    assert most <= 20 + 500 // harness.batch_files
    assert "success" == await harness.outcome(run_id)
    assert FILES == (await harness.totals(run_id)).files_done
    async with database.read() as connection:
        query = select(file.c.state, func.count()).where(file.c.ingestion_id == harness.ingestion_id)
        assert [("committed", FILES)] == [tuple(row) for row in await connection.execute(query.group_by(file.c.state))]


async def test_it_keeps_its_lease_while_it_waits(database: Database) -> None:
    """The lease begins anew again and again, and nobody takes the scan over."""
    harness = of_a_tenant(database)
    harness.room = RoomLimits(1, 1000)
    harness.put(*(f"in/{n}.json" for n in range(9)))
    run_id = await harness.new_run()
    listing = await stands_still(harness, harness.scans(heartbeat=timedelta(milliseconds=20)), run_id)
    for _ in range(10):
        await renewed_lease(harness, run_id)
        assert await harness.ledger().claim(run_id, harness.ingestion_id, 1) is None
    while not listing.done():
        await harness.load(run_id)
        await asyncio.wait({listing}, timeout=0.02)
    await listing
    await harness.load(run_id)
    assert 9 == (await harness.totals(run_id)).files_done


async def renewed_lease(harness: Harness, run_id: RunId) -> None:
    """Returns when the lease of the run's scan ends later than it does now."""
    before = await _leased_until(harness, run_id)

    async def is_renewed() -> bool:
        return await _leased_until(harness, run_id) > before

    await eventually(is_renewed, 60)


async def _leased_until(harness: Harness, run_id: RunId) -> datetime:
    query = select(scan.c.lease_until).where(scan.c.run_id == run_id)
    async with harness.database.read() as connection:
        until: datetime = (await connection.execute(query)).scalar_one()
    return until


async def test_another_listing_has_its_turn_meanwhile(database: Database) -> None:
    """One scanner, four turns: as many listings that stand still do not stop a fifth, of another tenant."""
    full, small = [of_a_tenant(database) for _ in range(4)], of_a_tenant(database)
    full[0].put(*(f"in/{n}.json" for n in range(20)))
    full[0].room = RoomLimits(1, 1000)
    scans = full[0].scans()
    waiting = []
    for harness in full:
        harness.room = full[0].room
        waiting.append(await stands_still(harness, scans, await harness.new_run()))
    small.options = {"modified_after": datetime(2099, 1, 1, tzinfo=UTC)}
    run_id = await small.new_run()
    async with asyncio.timeout(30):
        await small.scan(run_id, scans)
    assert await small.is_scanned(run_id)
    for listing in waiting:
        listing.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_run_that_is_cancelled_does_not_wait(database: Database) -> None:
    """Its listing ends where it stands."""
    harness = of_a_tenant(database)
    harness.room = RoomLimits(1, 1000)
    harness.put(*(f"in/{n}.json" for n in range(20)))
    run_id = await harness.new_run()
    listing = await stands_still(harness, harness.scans(heartbeat=timedelta(milliseconds=20)), run_id)
    async with database.begin() as connection:
        await cancel_run(connection, Outbox(source="autoloader/test"), run_id, harness.ingestion_id, 1)
    async with asyncio.timeout(30):
        await asyncio.wait({listing})
    assert listing.exception() is not None


async def test_what_is_fresh_goes_before_a_backfill(database: Database) -> None:
    """Fresh batches take a backfill's room; a backfill's batches take none from fresh files."""
    harness = of_a_tenant(database)
    harness.put(*(f"in/{n}.json" for n in range(6)))
    fresh, backfill = await harness.new_run(), await harness.new_run(scope=Scope(prefix="in/"))
    ledger = harness.ledger()
    claims = [await ledger.claim(run_id, harness.ingestion_id, 1) for run_id in (fresh, backfill)]
    before = [await ledger.backlog(claim) for claim in claims if claim is not None]
    first = await harness.scanned_run()
    after = [await ledger.backlog(claim) for claim in claims if claim is not None]
    assert [2, 2] == [a.of_ingestion - b.of_ingestion for a, b in zip(after, before, strict=True)]
    await harness.load(first)
    harness.put("in/late.json")
    old = await harness.new_run(scope=Scope(prefix="in/l"))
    await harness.scan(old)
    last = [await ledger.backlog(claim) for claim in claims if claim is not None]
    assert [0, 1] == [a.of_ingestion - b.of_ingestion for a, b in zip(last, before, strict=True)]


async def test_tenants_take_turns_at_the_executors(database: Database) -> None:
    """Ten files that came after ten thousand are next."""
    big, small = of_a_tenant(database, page_size=100), of_a_tenant(database)
    big.put(*(f"in/{n:03}.json" for n in range(60)))
    small.put("in/a.json")
    many = await big.scanned_run()
    few = await small.scanned_run()
    ledger = BatchLedger(database, Outbox(source="autoloader/test"), owner="executor", lease=LONG)
    [told, *_] = await big.unfinished(many)
    waiting = {w.tenant_id: w for w in await ledger.waiting(told)}
    assert (0, 0) == (waiting[big.tenant_id].in_work, waiting[small.tenant_id].in_work)
    assert waiting[big.tenant_id].since < waiting[small.tenant_id].since
    claim = await ledger.claim(waiting[big.tenant_id].batch_id)
    assert claim is not None
    waiting = {w.tenant_id: w for w in await ledger.waiting(told)}
    assert (1, 0) == (waiting[big.tenant_id].in_work, waiting[small.tenant_id].in_work)
    assert claim.id != waiting[big.tenant_id].batch_id
    await ledger.release(claim, error="given back")
    waiting = {w.tenant_id: w for w in await ledger.waiting(told)}
    assert claim.id != waiting[big.tenant_id].batch_id, "what was tried is a sweeper's"
    assert waiting[small.tenant_id].batch_id in await small.unfinished(few)


async def test_who_is_told_of_a_batch_leaves_none_that_he_could_have(database: Database) -> None:
    """The one whose turn it is is locked for longer than anybody asks: by another executor, which is about to claim it,
    on a machine that stands still. A message is told once, and there is one of them for each batch."""
    harness = of_a_tenant(database, page_size=100)
    harness.put(*(f"in/{n}.json" for n in range(9)))
    first, second, third = sorted(await harness.unfinished(await harness.scanned_run()))
    ledger = BatchLedger(database, Outbox(source="autoloader/test"), owner="executor", lease=LONG)
    nothing: Any = None
    executor = Batches(
        ledger, nothing, nothing, nothing, heartbeat=LONG, patience=Patience(), aside=Aside(LONG, database.now)
    )
    async with database.begin() as connection:
        await connection.execute(select(batch.c.id).where(batch.c.id == first).with_for_update())
        claimed = set[BatchId]()
        while (claim := await executor._next(first)) is not None:
            claimed.add(claim.id)
    assert {second, third} == claimed & {first, second, third}, "other tests' batches may wait, too"
    last = await executor._next(second)
    assert last is not None
    assert first == last.id
