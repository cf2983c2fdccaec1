"""Undoing refreshes as clients ask for it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from libs.common.contracts.events import RefreshTable
from libs.common.storage.control import audit, refresh
from tests.integration.api.harness import INGESTIONS, KEPT_FOR, ApiUnderTest, envelope
from tests.integration.api.test_refresh import asked, commands, done

pytestmark = pytest.mark.asyncio


async def refreshed(api: ApiUnderTest, ingestion_id: str, **changes: Any) -> RefreshTable:
    command = await asked(api, ingestion_id, auto_run=False)
    await api.refreshes.on_refreshed(envelope(done(command, occurred_at=datetime.now(UTC), **changes)))
    return command


async def undo(api: ApiUnderTest, ingestion_id: str, refresh_id: UUID, **request: Any) -> Any:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/refresh/{refresh_id}/undo", **request)


async def test_an_undo_is_announced_and_told_as_done(api: ApiUnderTest) -> None:
    """Two operations; the ingestion is in a third generation, and no run is asked for unless somebody wants one."""
    created = await api.create()
    first = await refreshed(api, created["id"])
    key = {"Idempotency-Key": str(uuid4())}
    pending = (await undo(api, created["id"], first.refresh_id, headers=key)).json()
    assert [("table_dropped", "pending"), ("table_restored", "pending")] == [
        (o["operation"], o["status"]) for o in pending["operations"]
    ]
    command = (await commands(api, created["id"]))[-1]
    assert ("undo", first.refresh_id, 2, 3) == (
        command.mode, command.undoes, command.from_generation, command.to_generation
    )  # fmt: skip
    await api.refreshes.on_refreshed(envelope(done(command, kept_as="lake.demo.flights__g2_y", files_kept=3)))
    told = (await undo(api, created["id"], first.refresh_id, headers=key)).json()
    assert ("undo", None, None) == (told["mode"], told["run_id"], told["undo_until"])
    assert [("table_dropped", "success"), ("table_restored", "success")] == [
        (o["operation"], o["status"]) for o in told["operations"]
    ]
    assert "3 files" in told["operations"][1]["details"]
    assert 3 == (await api.client.get(f"{INGESTIONS}/{created['id']}")).json()["generation"]
    trail = await api.rows(select(audit.c.details).where(audit.c.subject_id == UUID(created["id"])))
    assert str(first.refresh_id) in [row.details.get("undoes") for row in trail]


async def test_an_undo_may_ask_for_a_run(api: ApiUnderTest) -> None:
    """Which reads what the old table lacks."""
    created = await api.create()
    first = await refreshed(api, created["id"])
    await undo(api, created["id"], first.refresh_id, json={"auto_run": True})
    await api.refreshes.on_refreshed(envelope(done((await commands(api, created["id"]))[-1])))
    [request] = await api.requested(created["id"])
    assert (3, "refresh") == (request.generation, request.trigger)


async def test_refreshes_are_listed_with_the_end_of_their_undo(api: ApiUnderTest) -> None:
    """Newest first; one of them by its id, and none under another ingestion."""
    created, other = await api.create(), await api.create()
    first = await refreshed(api, created["id"])
    second = await refreshed(api, created["id"])
    listed = await api.client.get(f"{INGESTIONS}/{created['id']}/refresh")
    assert [str(second.refresh_id), str(first.refresh_id)] == [r["refresh_id"] for r in listed.json()]
    assert "2" == listed.headers["X-Total-Count"]
    one = await api.client.get(f"{INGESTIONS}/{created['id']}/refresh/{first.refresh_id}")
    assert listed.json()[1] == one.json()
    assert one.json()["undo_until"] is not None
    for ask in (
        await api.client.get(f"{INGESTIONS}/{other['id']}/refresh/{first.refresh_id}"),
        await undo(api, other["id"], first.refresh_id),
    ):
        assert (404, "unknown_refresh") == (ask.status_code, ask.json()["code"])


async def test_an_undo_is_refused_with_its_reason(api: ApiUnderTest) -> None:
    """While it is under way, once it is undone, when the table began anew since, and when its time is over."""
    created = await api.create()
    command = await asked(api, created["id"], auto_run=False)
    assert "refresh_active" == await refusal(api, created["id"], command.refresh_id)
    await api.refreshes.on_refreshed(envelope(done(command, occurred_at=datetime.now(UTC))))
    second = await refreshed(api, created["id"])
    assert "refreshed_since" == await refusal(api, created["id"], command.refresh_id)
    await undo(api, created["id"], second.refresh_id)
    await api.refreshes.on_refreshed(envelope(done((await commands(api, created["id"]))[-1])))
    assert "undone_already" == await refusal(api, created["id"], second.refresh_id)
    listed = (await api.client.get(f"{INGESTIONS}/{created['id']}/refresh")).json()
    assert [False, False, True] == [r["undo_until"] is not None for r in listed]
    long_ago = update(refresh).where(refresh.c.id == command.refresh_id)
    await api.rows(long_ago.values(ended_at=refresh.c.created_at - KEPT_FOR - timedelta(seconds=1)))
    assert "undo_too_late" == await refusal(api, created["id"], command.refresh_id)


async def refusal(api: ApiUnderTest, ingestion_id: str, refresh_id: UUID) -> str:
    """Its code; a hint is always there."""
    answer = await undo(api, ingestion_id, refresh_id)
    assert 409 == answer.status_code, answer.text
    assert answer.json()["hint"]
    return str(answer.json()["code"])
