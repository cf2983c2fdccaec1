"""A rebuild that stops in the middle, on Postgres: nothing that the table holds is loaded a second time meanwhile."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from libs.common.contracts.events import Problem
from libs.common.errors import Temporary
from libs.common.ids import BatchId, IngestionId, RunId, new_batch_id, new_ingestion_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.ingestions import halt_of, lift_halt
from libs.common.ledger.model.batches import BatchClaim, Doubts
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.rebuilds import LedgerRebuild
from libs.common.ledger.reconciliations import ReconciliationClaim, Reconciliations
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import audit
from libs.common.storage.control import ingestion, reconciliation
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.executor.domain.evidence import written
from services.executor.domain.story import Snapshot, TableStory, tell
from services.executor.rebuild import Rebuilds
from services.executor.reconciler import ATTEMPTS_MAX, Reconciler

pytestmark = pytest.mark.integration

NOW = datetime(2025, 1, 7, tzinfo=UTC)
LEASE = timedelta(minutes=1)
FILES = [FileVersion("landing", f"data/{number}.json", "e", 10, NOW) for number in range(2)]


class Lost:
    """An ingestion whose ledger is empty, and whose table holds one batch of two files."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.id: IngestionId = new_ingestion_id()
        self.batch: BatchId = new_batch_id()
        self.requests = Reconciliations(database, owner="me", lease=LEASE)
        self.rebuilds = Rebuilds(self.requests, LedgerRebuild(database, self.requests))
        self.listings = 0
        self.listed_in_vain = 0

    async def asked(self) -> ReconciliationClaim:
        request_id, of = uuid4(), {"tenant_id": "t", "definition": {}}
        async with self.database.begin() as connection:
            await connection.execute(
                reconciliation.insert().values(id=request_id, ingestion_id=self.id, kind="rebuild", generation=1, **of)
            )
        claim = await self.requests.claim(request_id)
        assert claim is not None
        return claim

    async def rebuild(self, claim: ReconciliationClaim) -> None:
        await self.rebuilds.rebuild(claim, "lake.demo.t", self._story, self._bucket, "skip")

    async def doubts(self) -> Doubts:
        """What an executor finds before it publishes."""
        ledger = BatchLedger(self.database, Outbox(source="autoloader/test"), owner="me", lease=LEASE)
        claim = BatchClaim(new_batch_id(), RunId(uuid4()), self.id, 1, token=1, attempt=1)
        return await ledger.doubts(claim, [str(self.batch)], [])

    async def halt(self) -> Problem | None:
        async with self.database.read() as connection:
            return await halt_of(connection, self.id)

    async def states(self) -> set[FileState]:
        known = await self.requests.versions(self.id, 1, [f.digest for f in FILES])
        return {version.state for versions in known.values() for version in versions}

    async def _story(self) -> TableStory:
        wap_id = f"al1:{self.id}:1:{self.batch}"
        return tell([Snapshot(7, None, NOW, wap_id, False, 20, 1, files=written(FILES))], 7)

    async def _bucket(self) -> AsyncIterator[Sequence[FileVersion]]:
        self.listings += 1
        yield FILES[:1]
        if self.listings == self.listed_in_vain:
            raise Temporary("S3 is away", code="store_unavailable")
        yield FILES[1:]


@pytest.fixture
async def lost(database: Database) -> Lost:
    lost = Lost(database)
    async with database.begin() as connection:
        await connection.execute(
            ingestion.insert().values(id=lost.id, tenant_id="t", definition={}, status="active", created_by="me")
        )
    return lost


async def failed_in_the_middle(lost: Lost) -> None:
    """The second listing, which is written from, breaks off after its first page; the rebuild is given up."""
    lost.listed_in_vain = 2
    claim = await lost.asked()
    with pytest.raises(Temporary):
        await lost.rebuild(claim)
    await lost.rebuilds.give_up(claim, Problem(error_type="store_unavailable", message="S3 is away"))
    assert {FileState.COMMITTED} == await lost.states()


async def test_what_fails_before_it_writes_lets_loading_go_on(lost: Lost) -> None:
    """Nothing was changed."""
    lost.listed_in_vain = 1
    claim = await lost.asked()
    with pytest.raises(Temporary):
        await lost.rebuild(claim)
    await lost.rebuilds.give_up(claim, Problem(error_type="store_unavailable", message="S3 is away"))
    assert (None, set()) == (await lost.halt(), await lost.states())


async def test_what_fails_in_the_middle_leaves_the_ingestion_halted(lost: Lost) -> None:
    """Half of the files are known; another rebuild ends it."""
    await failed_in_the_middle(lost)
    reason = await lost.halt()
    assert reason is not None
    assert "rebuild_unfinished" == reason.error_type
    await lost.rebuild(await lost.asked())
    assert (None, Doubts()) == (await lost.halt(), await lost.doubts())
    assert 2 == len(await lost.requests.versions(lost.id, 1, [f.digest for f in FILES]))


async def test_what_no_executor_comes_back_from_is_given_up(lost: Lost) -> None:
    """It takes too much memory: five executors in a row do not end it."""
    claim = await lost.asked()

    async with lost.database.begin() as connection:
        await connection.execute(
            update(audit).where(audit.c.id == claim.id).values(attempts=ATTEMPTS_MAX, lease_until=None)
        )
    nobody = cast("Any", None)
    reconciler = Reconciler(lost.requests, nobody, nobody, nobody, lost.rebuilds, nobody, heartbeat=LEASE)
    await reconciler.work_on(claim.id)
    async with lost.database.read() as connection:
        row = (await connection.execute(select(audit).where(audit.c.id == claim.id))).one()
    assert ("failed", "too_many_attempts") == (row.state, row.problem["error_type"])


async def test_who_resumes_loading_in_the_middle_is_stopped_by_the_guard(lost: Lost) -> None:
    """The batch is not known before its files are."""
    await failed_in_the_middle(lost)
    async with lost.database.begin() as connection:
        await lift_halt(connection, lost.id)
    assert Doubts(strangers=(str(lost.batch),)) == await lost.doubts()
