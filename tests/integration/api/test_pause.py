"""A paused ingestion begins nothing, keeps what was asked of it, and goes on where it was."""

from uuid import UUID

import pytest
from sqlalchemy import select

from libs.common.storage.control import audit
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = pytest.mark.asyncio


async def say(api: ApiUnderTest, ingestion_id: str, word: str) -> str:
    """Pauses or resumes; the status that it answers."""
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/{word}")
    assert answer.status_code == 200, answer.text
    status: str = answer.json()["status"]
    return status


async def shown(api: ApiUnderTest, ingestion_id: str) -> str:
    status: str = (await api.client.get(f"{INGESTIONS}/{ingestion_id}")).json()["status"]
    return status


async def test_pause_and_resume(api: ApiUnderTest) -> None:
    """Each may be said twice; each change is in the audit log once."""
    ingestion_id = (await api.create())["id"]
    assert ["paused", "paused"] == [await say(api, ingestion_id, "pause") for _ in range(2)]
    assert "paused" == await shown(api, ingestion_id)
    assert ["active", "active"] == [await say(api, ingestion_id, "resume") for _ in range(2)]
    assert "active" == await shown(api, ingestion_id)
    actions = await api.rows(
        select(audit.c.action).where(audit.c.subject_id == UUID(ingestion_id)).order_by(audit.c.id)
    )
    assert ["ingestion.created", "ingestion.paused", "ingestion.resumed"] == [row.action for row in actions]


async def test_a_paused_ingestion_takes_no_request(api: ApiUnderTest) -> None:
    """409 with the way out; nothing is stored. A refresh without a run is no loading, and is taken."""
    ingestion_id = (await api.create())["id"]
    await say(api, ingestion_id, "pause")
    refresh = {"confirm": True}
    for path, body in (("run", None), ("refresh/full", refresh), ("refresh/new-only", refresh)):
        answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/{path}", json=body)
        refusal = answer.json()
        assert (409, "ingestion_paused") == (answer.status_code, refusal["code"]), path
        assert f"/{ingestion_id}/resume" in refusal["hint"]
    assert [] == (await api.client.get(f"{INGESTIONS}/{ingestion_id}/runs")).json()
    await say(api, ingestion_id, "resume")
    await api.request_run(ingestion_id)


async def test_a_queued_run_waits_for_the_resume(api: ApiUnderTest) -> None:
    """The active one goes on to its end; nobody starts the other one before, not even the sweeper; it says why."""
    ingestion_id = (await api.create())["id"]
    first, second = [await api.request_run(ingestion_id) for _ in range(2)]
    await say(api, ingestion_id, "pause")
    await api.end(ingestion_id, first)
    assert UUID(second) not in [UUID(str(each)) for each in await api.sweeper.start_queued()]
    waiting = await api.run(ingestion_id, second)
    assert waiting["queued"]
    assert "paused" in waiting["waiting_on"]
    await say(api, ingestion_id, "resume")
    assert [first, second] == [str(message.run_id) for message in await api.requested(ingestion_id)]
    assert not (await api.run(ingestion_id, second))["queued"]


async def test_a_run_that_waits_is_not_started_beside_an_active_one(api: ApiUnderTest) -> None:
    """Paused and resumed while the first is under way."""
    ingestion_id = (await api.create())["id"]
    first, second = [await api.request_run(ingestion_id) for _ in range(2)]
    await say(api, ingestion_id, "pause")
    await say(api, ingestion_id, "resume")
    assert [first] == [str(message.run_id) for message in await api.requested(ingestion_id)]
    assert (await api.run(ingestion_id, second))["queued"]


async def test_nobody_pauses_what_is_not_theirs(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """404, and it stays as it is."""
    ingestion_id = (await api.create())["id"]
    answer = await neighbour.client.post(f"{INGESTIONS}/{ingestion_id}/pause")
    assert (404, "unknown_ingestion") == (answer.status_code, answer.json()["code"])
    assert "draft" == await shown(api, ingestion_id)
