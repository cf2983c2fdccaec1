"""What a run that does not go on says of itself."""

from datetime import timedelta
from uuid import UUID

import pytest

from libs.common.contracts.events import ScanStarted
from libs.common.ids import IngestionId, RunId, new_batch_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import PlannedBatch, PublishedBatch
from libs.common.ledger.model.scans import Page
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import ApiUnderTest, Story

pytestmark = pytest.mark.asyncio
LONG = timedelta(minutes=5)


async def test_a_run_says_why_its_batch_waits(api: ApiUnderTest) -> None:
    """An executor gave one back; nothing is said of it any more when it is done."""
    created = await api.create()
    run_id = await api.request_run(created["id"])
    await api.tell(Story(created["id"], run_id).fact(ScanStarted, attempt=1))
    a = api.objects.put("landing", "a.json", b"{}\n")
    out, planned = Outbox(source="autoloader/test"), PlannedBatch(new_batch_id(), (a,))
    scanner = ScanLedger(api.database, out, owner="s", lease=LONG)
    claim = await scanner.claim(RunId(UUID(run_id)), IngestionId(UUID(created["id"])), 1)
    assert claim is not None
    await scanner.complete(claim, Page(taken=(a,), batches=(planned,)), ())
    executor = BatchLedger(api.database, out, owner="e", lease=LONG)
    assert (await api.run(created["id"], run_id))["waiting_on"] is None
    first = await executor.claim(planned.id)
    assert first is not None
    await executor.release(first, error="the table did not take the burn: forbidden")
    assert "did not take the burn: forbidden" in (await api.run(created["id"], run_id))["waiting_on"]
    second = await executor.claim(planned.id)
    assert second is not None
    await executor.published(second, PublishedBatch(7, 100, ()))
    assert (await api.run(created["id"], run_id))["waiting_on"] is None
