"""An ingestion that was halted says so, takes no run, and goes on when somebody decided."""

from uuid import UUID

import pytest

from libs.common.contracts.events import Problem
from libs.common.ids import IngestionId
from libs.common.ledger.ingestions import halt, hold_generation
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = pytest.mark.asyncio
REASON = Problem(error_type="ledger_behind_table", message="the table knows more", hint="bring the ledger up to it")


async def halted(api: ApiUnderTest) -> str:
    created = await api.create()
    ingestion_id = IngestionId(UUID(created["id"]))
    async with api.database.begin() as connection:
        await hold_generation(connection, ingestion_id, 1)
        await halt(connection, ingestion_id, REASON)
    return str(created["id"])


async def test_a_halted_ingestion_is_paused_and_says_why(api: ApiUnderTest) -> None:
    """With what to do about it."""
    ingestion_id = await halted(api)
    shown = (await api.client.get(f"{INGESTIONS}/{ingestion_id}")).json()
    assert "paused" == shown["status"]
    reason = shown["metadata"]["halt"]
    assert (REASON.error_type, REASON.message, REASON.hint) == (reason["code"], reason["message"], reason["hint"])
    assert reason["since"]


async def test_a_halted_ingestion_takes_no_run(api: ApiUnderTest) -> None:
    """409 with the reason and the way out; nothing is stored."""
    ingestion_id = await halted(api)
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/run")
    body = answer.json()
    assert (409, "ingestion_halted", REASON.hint) == (answer.status_code, body["code"], body["hint"])
    assert REASON.message in body["detail"]
    assert [] == (await api.client.get(f"{INGESTIONS}/{ingestion_id}/runs")).json()


async def test_a_resumed_ingestion_runs_again(api: ApiUnderTest) -> None:
    """Its status is what it was; resuming what is not halted changes nothing."""
    ingestion_id = await halted(api)
    for _ in range(2):
        answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/resume")
        assert (200, {"status": "draft"}) == (answer.status_code, answer.json())
    shown = (await api.client.get(f"{INGESTIONS}/{ingestion_id}")).json()
    assert ("draft", None) == (shown["status"], shown["metadata"]["halt"])
    await api.request_run(ingestion_id)


async def test_nobody_resumes_what_is_not_theirs(api: ApiUnderTest) -> None:
    """404 for an unknown one."""
    answer = await api.client.post(f"{INGESTIONS}/{UUID(int=0)}/resume")
    assert (404, "unknown_ingestion") == (answer.status_code, answer.json()["code"])
