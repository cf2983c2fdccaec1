"""Watermarks over REST: how far they are, what holds them back, and that each step is told once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import update

from libs.common.completeness.watermark import MARGIN
from libs.common.contracts.events import Problem, WatermarkAdvanced
from libs.common.ids import BatchId, IngestionId, new_batch_id, new_run_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import BurnVerdict, Fate, PlannedBatch, PublishedBatch
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import Page
from libs.common.ledger.scans import ScanLedger
from libs.common.ledger.states import FileState
from libs.common.storage.control import ingestion
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = [pytest.mark.asyncio, pytest.mark.integration]
LONG = timedelta(minutes=5)
OUT = Outbox(source="autoloader/test")
WRITTEN = datetime(2025, 1, 7, 12, 20, 16, tzinfo=UTC)
FILE = FileVersion("landing", "flights/a.json", "v1", 10, WRITTEN)
BAD = Problem(error_type="unparsable_file", message="line 17 is not one JSON object")


async def listed(api: ApiUnderTest, ingestion_id: str, *files: FileVersion) -> tuple[datetime, BatchId]:
    """A whole listing that found these files, in one batch; when it began."""
    scanner = ScanLedger(api.database, OUT, owner="s", lease=LONG)
    claim = await scanner.claim(new_run_id(), IngestionId(UUID(ingestion_id)), 1)
    assert claim is not None
    batch = PlannedBatch(new_batch_id(), files)
    await scanner.complete(claim, Page(taken=files, batches=(batch,) if files else ()), (), is_whole=True)
    return claim.began_at, batch.id


async def load(api: ApiUnderTest, batch_id: BatchId, verdict: BurnVerdict | None = None) -> None:
    executor = BatchLedger(api.database, OUT, owner="e", lease=LONG)
    claim = await executor.claim(batch_id)
    assert claim is not None
    if verdict is not None:
        await executor.burned(claim, verdict)
    else:
        await executor.published(claim, PublishedBatch(1, 1, ()))


async def completeness(api: ApiUnderTest, ingestion_id: str) -> dict[str, Any]:
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/completeness")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def told(api: ApiUnderTest, ingestion_id: str) -> list[datetime]:
    """The watermarks that events told of."""
    messages = await api.commands(ingestion_id)
    return [m.watermark for m in messages if isinstance(m, WatermarkAdvanced)]


async def test_there_is_none_before_a_whole_listing(api: ApiUnderTest) -> None:
    """And an ingestion that is not there is 404."""
    created = await api.create()
    found = await completeness(api, created["id"])
    assert (None, None, []) == (found["watermark"], found["lag_s"], found["held_by"])
    assert "no listing of the whole source" in found["note"]
    assert 404 == (await api.client.get(f"{INGESTIONS}/{UUID(int=0)}/completeness")).status_code


async def test_a_file_in_work_holds_it_and_its_end_lets_it_go(api: ApiUnderTest) -> None:
    """Each step is an event, and the ingestion shows it."""
    created = await api.create()
    began, batch_id = await listed(api, created["id"], FILE)
    await api.watcher.look()
    found = await completeness(api, created["id"])
    held_at = WRITTEN - MARGIN
    assert held_at == datetime.fromisoformat(found["watermark"])
    assert [(FILE.uri, "batched")] == [(each["file"], each["state"]) for each in found["held_by"]]
    await load(api, batch_id)
    assert [UUID(created["id"])] == [each for each in await api.watcher.look() if str(each) == created["id"]]
    found = await completeness(api, created["id"])
    assert (began - MARGIN, []) == (datetime.fromisoformat(found["watermark"]), found["held_by"])
    assert 0 < found["lag_s"] < 60
    assert [held_at, began - MARGIN] == await told(api, created["id"])
    shown = (await api.client.get(f"{INGESTIONS}/{created['id']}")).json()
    assert began - MARGIN == datetime.fromisoformat(shown["metadata"]["watermark"])


async def test_a_failed_file_is_named_with_what_to_do(api: ApiUnderTest) -> None:
    """The watermark stays before it."""
    created = await api.create()
    _, batch_id = await listed(api, created["id"], FILE)
    await load(api, batch_id, BurnVerdict({FILE.digest: Fate(FileState.FAILED, BAD)}))
    await api.watcher.look()
    found = await completeness(api, created["id"])
    assert WRITTEN - MARGIN == datetime.fromisoformat(found["watermark"])
    [held] = found["held_by"]
    assert ("failed", BAD.message) == (held["state"], held["why"])
    assert "repair it" in found["note"]


async def test_it_never_falls(api: ApiUnderTest) -> None:
    """What is found later and is older, as after the pattern was widened, lets it stand where it is."""
    created = await api.create()
    began, _ = await listed(api, created["id"])
    await api.watcher.look()
    await listed(api, created["id"], FILE)
    await api.watcher.look()
    found = await completeness(api, created["id"])
    assert began - MARGIN == datetime.fromisoformat(found["watermark"])
    assert [FILE.uri] == [each["file"] for each in found["held_by"]]
    assert [began - MARGIN] == await told(api, created["id"])


async def test_a_backfill_of_what_is_too_old_holds_nothing(api: ApiUnderTest) -> None:
    """The definition leaves it out; more than a page of it stands before the file that counts."""
    source = {"path": "s3://landing/flights/", "modified_after": "2025-01-01T00:00:00Z"}
    created = await api.create(source=source)
    old = [replace(FILE, key=f"flights/old/{n}.json", last_modified=WRITTEN.replace(year=2024)) for n in range(1001)]
    await listed(api, created["id"], *old, FILE)
    await api.watcher.look()
    found = await completeness(api, created["id"])
    assert [FILE.uri] == [each["file"] for each in found["held_by"]]
    assert WRITTEN - MARGIN == datetime.fromisoformat(found["watermark"])


async def test_several_processes_tell_each_step_once(api: ApiUnderTest) -> None:
    """They all look, at the same time."""
    created = await api.create()
    began, _ = await listed(api, created["id"])
    moved = await asyncio.gather(*(api.watcher.look() for _ in range(5)))
    assert 1 == sum(UUID(created["id"]) in each for each in moved)
    assert [began - MARGIN] == await told(api, created["id"])


async def test_the_lag_of_an_active_ingestion_is_measured(api: ApiUnderTest) -> None:
    """Until it is paused or forgotten."""
    created = await api.create()
    await listed(api, created["id"])

    async def lag(status: str) -> float | None:
        await api.rows(update(ingestion).where(ingestion.c.id == UUID(created["id"])).values(status=status))
        await api.watcher.look()
        return REGISTRY.get_sample_value("autoloader_watermark_lag_seconds", {"ingestion_id": created["id"]})

    assert await lag("draft") is None
    measured = await lag("active")
    assert measured is not None
    assert MARGIN.total_seconds() <= measured < 60
    assert await lag("paused") is None
