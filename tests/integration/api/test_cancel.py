"""Cancelling runs over REST: whatever they are doing, they end, and the next one may begin."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from libs.common.contracts.codec import decode
from libs.common.contracts.events import RunFact
from libs.common.ids import IngestionId, RunId, new_batch_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import BurnVerdict, PlannedBatch
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import Page
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.control import audit, outbox
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest

pytestmark = pytest.mark.asyncio
LONG = timedelta(minutes=5)


async def cancel(api: ApiUnderTest, ingestion_id: str, run_id: str, **headers: str) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/runs/{run_id}/cancel", headers=headers)


async def hear(api: ApiUnderTest, run_id: str) -> None:
    """What the ledger told of the run reaches the API."""
    async with api.database.read() as connection:
        values = await connection.scalars(select(outbox.c.value).where(outbox.c.key == run_id).order_by(outbox.c.id))
        messages = [decode(value).message for value in values]
    await api.tell(*[m for m in messages if isinstance(m, RunFact)])


async def status(api: ApiUnderTest, ingestion_id: str, run_id: str) -> Any:
    return (await api.run(ingestion_id, run_id))["status"]


async def test_a_run_that_no_scanner_has_begun(api: ApiUnderTest) -> None:
    """It ends as cancelled, with the reason, and is in the audit log; the run behind it starts."""
    ingestion_id = (await api.create())["id"]
    first, second = [await api.request_run(ingestion_id) for _ in range(2)]
    answer = await cancel(api, ingestion_id, first)
    body = answer.json()
    assert (202, first, "cancelled") == (answer.status_code, body["run_id"], body["status"])
    await hear(api, first)
    run = await api.run(ingestion_id, first)
    assert ("cancelled", body["cancel_requested_at"]) == (run["status"], run["cancel_requested_at"])
    assert ["run_cancelled"] == [error["error_type"] for error in run["errors"]]
    assert [first, second] == [str(message.run_id) for message in await api.requested(ingestion_id)]
    actions = await api.rows(select(audit.c.action).where(audit.c.subject_id == UUID(ingestion_id)))
    assert 1 == [row.action for row in actions].count("run.cancelled")


async def test_a_queued_run(api: ApiUnderTest) -> None:
    """The active one does not notice, and there is room for another one."""
    ingestion_id = (await api.create())["id"]
    first, second = [await api.request_run(ingestion_id) for _ in range(2)]
    await cancel(api, ingestion_id, second)
    assert ["cancelled", "accepted"] == [await status(api, ingestion_id, run) for run in (second, first)]
    third = await api.request_run(ingestion_id)
    assert third != second
    await hear(api, second)
    await api.end(ingestion_id, first)
    assert [first, third] == [str(message.run_id) for message in await api.requested(ingestion_id)]


async def test_the_end_is_found_if_its_message_is_lost(api: ApiUnderTest) -> None:
    """Of a run whose last batch an executor burned: by the sweeper, from the ledger."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    out = Outbox(source="autoloader/test")
    scanner = ScanLedger(api.database, out, owner="s", lease=LONG)
    executor = BatchLedger(api.database, out, owner="e", lease=LONG)
    listing = await scanner.claim(RunId(UUID(run_id)), IngestionId(UUID(ingestion_id)), 1)
    assert listing is not None
    file = FileVersion("landing", "a.json", "v1", 10, START)
    planned = PlannedBatch(new_batch_id(), (file,))
    await scanner.record(listing, Page(taken=(file,), batches=(planned,)))
    claim = await executor.claim(planned.id)
    assert claim is not None
    await executor.about_to_stage(claim)
    answer = (await cancel(api, ingestion_id, run_id)).json()
    assert "accepted" == answer["status"]  # only the table knows, and nobody has asked it yet
    burner = await executor.claim(planned.id)
    assert burner is not None
    await executor.burned(burner, BurnVerdict())
    await api.sweeper.sweep()
    assert "cancelled" == await status(api, ingestion_id, run_id)


async def test_cancelling_twice_is_cancelling_once(api: ApiUnderTest) -> None:
    """Also when the run has ended meanwhile."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    first = (await cancel(api, ingestion_id, run_id)).json()
    assert first == (await cancel(api, ingestion_id, run_id)).json()
    await hear(api, run_id)
    again = await cancel(api, ingestion_id, run_id)
    assert (202, first) == (again.status_code, again.json())


async def test_a_run_that_is_over_cannot_be_cancelled(api: ApiUnderTest) -> None:
    """409 with where to look; the run stays as it ended."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    await api.end(ingestion_id, run_id)
    answer = await cancel(api, ingestion_id, run_id)
    assert (409, "run_over") == (answer.status_code, answer.json()["code"])
    assert run_id in answer.json()["hint"]
    run = await api.run(ingestion_id, run_id)
    assert ("success", None) == (run["status"], run["cancel_requested_at"])


async def test_who_has_no_such_run(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """404 for an unknown run, for a run of another ingestion, and for another tenant."""
    ingestion_id, other_id = (await api.create())["id"], (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    for who, where, which in (
        (api, ingestion_id, str(UUID(int=0))),
        (api, other_id, run_id),
        (neighbour, ingestion_id, run_id),
    ):
        answer = await cancel(who, where, which)
        assert (404, answer.json()["code"][:8]) == (answer.status_code, "unknown_")
    assert "accepted" == await status(api, ingestion_id, run_id)


async def test_the_same_key_gets_the_same_answer(api: ApiUnderTest) -> None:
    """As for every POST."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    answers = [await cancel(api, ingestion_id, run_id, **{"Idempotency-Key": "once"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
