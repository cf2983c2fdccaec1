"""Forgetting which files were loaded, as clients ask for it."""

from typing import Any

import pytest

from tests.integration.api.harness import INGESTIONS, ApiUnderTest, envelope
from tests.integration.api.test_refresh import commands, done

pytestmark = pytest.mark.asyncio


async def clear(api: ApiUnderTest, ingestion_id: str, **query: Any) -> Any:
    return await api.client.delete(f"{INGESTIONS}/{ingestion_id}/processed-files", params=query)


@pytest.mark.parametrize("query", [{}, {"confirm": "false"}])
async def test_it_has_to_be_confirmed(api: ApiUnderTest, query: dict[str, str]) -> None:
    """422 that names the parameter, and nothing is begun."""
    created = await api.create()
    answer = await clear(api, created["id"], **query)
    assert 422 == answer.status_code
    assert ["query", "confirm"] == answer.json()["detail"][0]["loc"]
    assert [] == await commands(api, created["id"])


async def test_the_answer_says_that_rows_will_be_there_twice(api: ApiUnderTest) -> None:
    """And what to do against it; one operation, whose end the same listing of refreshes tells."""
    created = await api.create()
    pending = await clear(api, created["id"], confirm="true")
    body = pending.json()
    assert (202, "clear_history", None) == (pending.status_code, body["mode"], body["run_id"])
    assert [("processed_files_cleared", "pending")] == [(o["operation"], o["status"]) for o in body["operations"]]
    assert ["lake.demo.flights keeps its rows"] == [warning.split(":")[0] for warning in body["warnings"]]
    assert any(f"{created['id']}/refresh/full" in note for note in body["notes"])
    [command] = await commands(api, created["id"])
    assert ("clear_history", 1, 2) == (command.mode, command.from_generation, command.to_generation)
    await api.refreshes.on_refreshed(envelope(done(command, kept_as=None)))
    [told] = (await api.client.get(f"{INGESTIONS}/{created['id']}/refresh")).json()
    assert [("processed_files_cleared", "success")] == [(o["operation"], o["status"]) for o in told["operations"]]
    assert "3 files" in told["operations"][0]["details"]
    assert [] == await api.requested(created["id"])
    undo = await api.client.post(f"{INGESTIONS}/{created['id']}/refresh/{command.refresh_id}/undo")
    assert (409, "nothing_to_undo") == (undo.status_code, undo.json()["code"])


async def test_while_it_is_under_way_the_ingestion_is_busy(api: ApiUnderTest) -> None:
    """As during any refresh."""
    created = await api.create()
    await clear(api, created["id"], confirm="true")
    for refused in (
        await clear(api, created["id"], confirm="true"),
        await api.client.post(f"{INGESTIONS}/{created['id']}/run"),
    ):
        assert (409, "refresh_active") == (refused.status_code, refused.json()["code"])
