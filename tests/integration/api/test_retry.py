"""Trying again what failed in a run, over REST."""

from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update

from libs.common.contracts.events import RunCompleted, ScanStarted
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file
from libs.common.storage.control import ingestion, run
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, Story

pytestmark = pytest.mark.asyncio


async def retry(api: ApiUnderTest, ingestion_id: str, run_id: str) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/runs/{run_id}/retry")


async def failed_run(api: ApiUnderTest, ingestion_id: str) -> str:
    run_id = await api.request_run(ingestion_id)
    story = Story(ingestion_id, run_id)
    found = {"files_discovered": 3, "files_failed": 1, "files_done": 2}
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, grow=found, outcome="partial"))
    left = FileVersion("landing", "bad.json", "v1", 10, START)
    await api.ledger_has(ingestion_id, left, FileState.FAILED, run_id)
    return run_id


async def test_a_retry_is_a_run_of_its_own(api: ApiUnderTest) -> None:
    """It says what it retries, is announced as a retry, and uses the definition as it is now."""
    ingestion_id = (await api.create())["id"]
    run_id = await failed_run(api, ingestion_id)
    await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json={"name": "corrected"})
    answer = await retry(api, ingestion_id, run_id)
    body = answer.json()
    assert (202, "accepted", False) == (answer.status_code, body["status"], body["queued"])
    assert f"{INGESTIONS}/{ingestion_id}/runs/{body['run_id']}" == answer.headers["Location"]
    shown = await api.run(ingestion_id, body["run_id"])
    assert ("retry", run_id) == (shown["trigger"], shown["retry_of"])
    assert ["manual", "retry"] == [message.trigger for message in await api.requested(ingestion_id)]
    [row] = await api.rows(select(run.c.definition).where(run.c.id == UUID(body["run_id"])))
    assert "corrected" == row.definition["name"]


async def test_a_retry_waits_its_turn_and_joins_nobody(api: ApiUnderTest) -> None:
    """A run that waits already would not read what failed: 409 with the way out."""
    ingestion_id = (await api.create())["id"]
    run_id = await failed_run(api, ingestion_id)
    await api.request_run(ingestion_id)
    waiting = (await retry(api, ingestion_id, run_id)).json()
    assert waiting["queued"]
    answer = await retry(api, ingestion_id, run_id)
    assert (409, "run_queued") == (answer.status_code, answer.json()["code"])
    assert waiting["run_id"] in answer.json()["hint"]


async def test_nobody_joins_a_retry_that_waits(api: ApiUnderTest) -> None:
    """It would read nothing of what is new, and its success would be taken for that of the request."""
    ingestion_id = (await api.create())["id"]
    run_id = await failed_run(api, ingestion_id)
    await api.request_run(ingestion_id)
    waiting = (await retry(api, ingestion_id, run_id)).json()["run_id"]
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/run")
    assert (409, "run_queued") == (answer.status_code, answer.json()["code"])
    assert f"/runs/{waiting}/cancel" in answer.json()["hint"]


async def test_what_a_later_run_has_found_again_is_that_runs(api: ApiUnderTest) -> None:
    """The first one has nothing left to retry, although a file failed in it."""
    ingestion_id = (await api.create())["id"]
    run_id = await failed_run(api, ingestion_id)
    later = await api.request_run(ingestion_id)
    await api.end(ingestion_id, later)
    of_this = file.c.ingestion_id == UUID(ingestion_id)
    await api.rows(update(file).where(of_this).values(run_id=UUID(later)))
    answer = await retry(api, ingestion_id, run_id)
    assert (409, "nothing_to_retry") == (answer.status_code, answer.json()["code"])
    assert 202 == (await retry(api, ingestion_id, later)).status_code


async def test_what_cannot_be_retried_is_refused_with_the_reason(api: ApiUnderTest) -> None:
    """A run that is not over, one without a failure, one from before a refresh; and nobody else's."""
    ingestion_id = (await api.create())["id"]
    failed = await failed_run(api, ingestion_id)
    unfinished = await api.request_run(ingestion_id)
    answer = await retry(api, ingestion_id, unfinished)
    assert (409, "run_active") == (answer.status_code, answer.json()["code"])
    await api.end(ingestion_id, unfinished)
    answer = await retry(api, ingestion_id, unfinished)
    assert (409, "nothing_to_retry") == (answer.status_code, answer.json()["code"])
    answer = await retry(api, ingestion_id, str(UUID(int=0)))
    assert (404, "unknown_run") == (answer.status_code, answer.json()["code"])
    await api.rows(update(ingestion).where(ingestion.c.id == UUID(ingestion_id)).values(generation=2))
    answer = await retry(api, ingestion_id, failed)
    assert (409, "run_outlived") == (answer.status_code, answer.json()["code"])
    await api.client.post(f"{INGESTIONS}/{ingestion_id}/pause")
    answer = await retry(api, ingestion_id, failed)
    assert (409, "ingestion_paused") == (answer.status_code, answer.json()["code"])
