"""What a lost message or a dead process leaves behind is found in Postgres and put right."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from libs.common.contracts.events import RunCompleted, ScanStarted
from libs.common.ledger import tables as ledger
from libs.common.storage.control import idempotency, inbox, outbox, run
from services.api.runs.sweeper import KEPT
from tests.integration.api.harness import START, ApiUnderTest, Story, envelope

pytestmark = pytest.mark.asyncio


async def requested(api: ApiUnderTest) -> tuple[str, str]:
    created = await api.create()
    return created["id"], await api.request_run(created["id"])


async def sent(api: ApiUnderTest, ingestion_id: str) -> None:
    """As if the relay had sent everything (and the broker had lost it)."""
    await api.rows(outbox.delete().where(outbox.c.key == ingestion_id))


async def scan(api: ApiUnderTest, ingestion_id: str, run_id: str, **values: Any) -> None:
    row = {"run_id": UUID(run_id), "ingestion_id": UUID(ingestion_id), "generation": 1, "state": "scanning"}
    await api.rows(ledger.scan.insert().values({**row, **values}))


async def test_a_lost_request_is_repeated(api: ApiUnderTest) -> None:
    """The topic is gone; the run is asked for again, and the relay woken."""
    ingestion_id, run_id = await requested(api)
    await sent(api, ingestion_id)
    pokes = api.relay.pokes
    await api.sweeper.sweep()
    assert [run_id] == [str(message.run_id) for message in await api.requested(ingestion_id)]
    assert pokes < api.relay.pokes


async def test_a_request_that_waits_in_the_outbox_is_not_repeated(api: ApiUnderTest) -> None:
    """While Kafka is away for hours, one message per run is kept, not one per sweep."""
    ingestion_id, _ = await requested(api)
    for _ in range(3):
        await api.sweeper.sweep()
    assert len(await api.requested(ingestion_id)) == 1


async def test_a_run_with_a_scan_is_left_alone(api: ApiUnderTest) -> None:
    """Its scan has a lease; the scanners look after it."""
    ingestion_id, run_id = await requested(api)
    await sent(api, ingestion_id)
    await scan(api, ingestion_id, run_id)
    await api.sweeper.sweep()
    assert await api.requested(ingestion_id) == []
    assert (await api.run(ingestion_id, run_id))["status"] == "accepted"


async def test_a_run_whose_end_was_lost_ends_from_the_ledger(api: ApiUnderTest) -> None:
    """Numbers, outcome, snapshots and failed files are the ledger's; the waiting run starts."""
    ingestion_id, run_id = await requested(api)
    waiting = await api.request_run(ingestion_id)
    await api.tell(Story(ingestion_id, run_id).fact(ScanStarted, attempt=1))
    totals = {"files_discovered": 2, "files_done": 1, "files_failed": 1, "records_ingested": 10}
    ended = {
        "state": "ended",
        "outcome": "partial",
        "seq": 7,
        "totals": totals,
        "ended_at": START + timedelta(minutes=1),
    }
    await scan(api, ingestion_id, run_id, **ended)
    ids = {"ingestion_id": UUID(ingestion_id), "generation": 1}
    batch = {"id": uuid4(), "run_id": UUID(run_id), "state": "published", "snapshot_id": 77}
    await api.rows(ledger.batch.insert().values(**ids, **batch, file_count=1, size_bytes=1))
    failed = {"key": "data/b.json", "state": "failed", "error_type": "unparsable_file", "error_message": "line 3"}
    await api.rows(
        ledger.file.insert().values(
            **ids,
            **failed,
            bucket="landing",
            key_digest=b"1",
            version_tag="e:1",
            etag="e",
            size_bytes=1,
            last_modified=START,
            run_id=UUID(run_id),
        )
    )

    await api.sweeper.sweep()

    shown = await api.run(ingestion_id, run_id)
    assert (
        shown["status"], shown["ended_at"], shown["metrics"]["files_processed"], shown["metrics"]["records_ingested"]
    ) == ("partial", "2025-01-07T12:35:56Z", 1, 10)  # fmt: skip
    assert shown["snapshots"] == [77]
    assert [(error["file"], error["error_type"], error["message"]) for error in shown["errors"]] == [
        ("s3://landing/data/b.json", "unparsable_file", "line 3")
    ]
    assert waiting in [str(message.run_id) for message in await api.requested(ingestion_id)]
    before = await api.run(ingestion_id, run_id)
    await api.sweeper.sweep()
    late = Story(ingestion_id, run_id)
    for _ in range(6):
        late.fact(ScanStarted, attempt=1)
    await api.tell(late.fact(RunCompleted, outcome="success"))
    assert before == await api.run(ingestion_id, run_id)


async def test_a_waiting_run_without_an_active_one_starts(api: ApiUnderTest) -> None:
    """However that came about."""
    ingestion_id, first = await requested(api)
    second = await api.request_run(ingestion_id)
    await api.rows(update(run).where(run.c.id == UUID(first)).values(status="success", ended_at=func.now()))
    await api.sweeper.sweep()
    assert not (await api.run(ingestion_id, second))["queued"]
    assert [first, second] == [str(message.run_id) for message in await api.requested(ingestion_id)]
    await api.sweeper.start_queued()
    assert len(await api.requested(ingestion_id)) == 2


async def test_what_is_old_is_forgotten_and_what_is_not_is_kept(api: ApiUnderTest) -> None:
    """Event ids and stored answers live for a week."""
    ingestion_id, run_id = await requested(api)
    old, new = [envelope(Story(ingestion_id, run_id).fact(ScanStarted, attempt=1)) for _ in range(2)]
    for event in (old, new):
        await api.projector.handle(event)
    before = func.now() - KEPT - timedelta(minutes=1)
    await api.rows(update(inbox).where(inbox.c.event_id == old.event_id).values(received_at=before))
    for key, at in (("old", before), ("new", func.now())):
        await api.rows(
            idempotency.insert().values(
                tenant_id=api.tenant_id, key=key, request_digest=b"", status=201, body={}, created_at=at
            )
        )
    await api.sweeper.sweep()
    ids = [old.event_id, new.event_id]
    assert [(new.event_id,)] == await api.rows(select(inbox.c.event_id).where(inbox.c.event_id.in_(ids)))
    assert await api.rows(select(idempotency.c.key).where(idempotency.c.tenant_id == api.tenant_id)) == [("new",)]


async def test_sweeping_twice_is_sweeping_once(api: ApiUnderTest) -> None:
    """Several API processes sweep."""
    ingestion_id, run_id = await requested(api)
    await sent(api, ingestion_id)
    await api.sweeper.sweep()
    await api.sweeper.sweep()
    assert [run_id] == [str(message.run_id) for message in await api.requested(ingestion_id)]
