"""Deleting ingestions as clients ask for it: nothing of one can become visible after it is gone."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from libs.common.contracts.events import RefreshTable
from libs.common.storage.control import audit, ingestion, run
from tests.integration.api.harness import INGESTIONS, WITH_CREDENTIALS, ApiUnderTest, envelope
from tests.integration.api.test_refresh import ask, commands, done, failed
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio


async def delete(api: ApiUnderTest, ingestion_id: str, **query: str) -> Any:
    return await api.client.delete(f"{INGESTIONS}/{ingestion_id}", params=query)


async def command_of(api: ApiUnderTest, ingestion_id: str) -> RefreshTable:
    await eventually(lambda: commands(api, ingestion_id), what="the deletion is announced")
    return (await commands(api, ingestion_id))[-1]


async def is_there(api: ApiUnderTest, ingestion_id: str) -> bool:
    return bool((await api.client.get(f"{INGESTIONS}/{ingestion_id}")).status_code == 200)


async def test_an_ingestion_with_nothing_under_way_is_deleted_at_once(api: ApiUnderTest) -> None:
    """No executor is needed, and none is woken."""
    created = await api.create()
    answer = await delete(api, created["id"])
    assert (204, b"") == (answer.status_code, answer.content)
    assert [] == await commands(api, created["id"])
    assert not await is_there(api, created["id"])


async def test_what_is_under_way_is_stopped_first(api: ApiUnderTest) -> None:
    """The executor burns it; then the ingestion is gone with its credentials, and its run is cancelled."""
    created = await api.create(**WITH_CREDENTIALS)
    run_id = await api.request_run(created["id"])
    deleting = asyncio.create_task(delete(api, created["id"]))
    command = await command_of(api, created["id"])
    assert ("delete", 1, 2) == (command.mode, command.from_generation, command.to_generation)
    assert await is_there(api, created["id"])
    assert await api.stored_credentials(created["id"]) is not None, "the executor still needs them"
    await api.refreshes.on_refreshed(envelope(done(command, kept_as=None)))
    answer = await deleting
    assert (204, b"") == (answer.status_code, answer.content)
    assert not await is_there(api, created["id"])
    assert await api.stored_credentials(created["id"]) is None
    [row] = await api.rows(select(run.c.status).where(run.c.id == UUID(run_id)))
    assert "cancelled" == row.status


async def test_a_table_to_be_dropped_is_set_aside_and_the_answer_says_where(api: ApiUnderTest) -> None:
    """And how it comes back."""
    created = await api.create()
    deleting = asyncio.create_task(delete(api, created["id"], table="drop"))
    command = await command_of(api, created["id"])
    assert "delete_with_table" == command.mode
    await api.refreshes.on_refreshed(envelope(done(command)))
    body = (await deleting).json()
    assert [("table_dropped", "success"), ("ingestion_deleted", "success")] == [
        (o["operation"], o["status"]) for o in body["operations"]
    ]
    assert "kept as lake.demo.flights__g1_x" == body["operations"][0]["details"]
    assert any("ALTER TABLE lake.demo.flights__g1_x RENAME TO demo.flights" in note for note in body["notes"])
    assert not await is_there(api, created["id"])
    trail = await api.rows(select(audit).where(audit.c.subject_id == UUID(created["id"])).order_by(audit.c.id))
    assert ("ingestion.deletion_requested", True, "drop") == (
        trail[-1].action, trail[-1].destructive, trail[-1].details["table"]
    )  # fmt: skip


async def test_a_deletion_that_is_not_done_in_time_goes_on(api: ApiUnderTest) -> None:
    """Asked again it is the same one; something else has to wait for it."""
    created = await api.create()
    for _ in range(2):
        pending = await delete(api, created["id"], table="drop")
        assert (202, ["pending", "pending"]) == (
            pending.status_code, [o["status"] for o in pending.json()["operations"]]
        )  # fmt: skip
    assert 1 == len(await commands(api, created["id"]))
    for refused in (
        await delete(api, created["id"]),
        await ask(api, created["id"]),
        await api.client.post(f"{INGESTIONS}/{created['id']}/run"),
    ):
        assert (409, "refresh_active") == (refused.status_code, refused.json()["code"])
    await api.refreshes.on_refreshed(envelope(done(await command_of(api, created["id"]))))
    assert 404 == (await delete(api, created["id"], table="drop")).status_code


async def test_a_deletion_that_fails_changes_nothing(api: ApiUnderTest) -> None:
    """The answer has the reason; the ingestion is there, and may be deleted another time."""
    created = await api.create()
    deleting = asyncio.create_task(delete(api, created["id"], table="drop"))
    command = await command_of(api, created["id"])
    await api.refreshes.on_failed(envelope(failed(command, is_over=True)))
    answer = await deleting
    assert (202, "partial_failure") == (answer.status_code, answer.json()["status"])
    assert ["failed", "skipped"] == [o["status"] for o in answer.json()["operations"]]
    assert await is_there(api, created["id"])
    assert 204 == (await delete(api, created["id"])).status_code


async def test_the_same_end_told_twice_deletes_once(api: ApiUnderTest) -> None:
    """Kafka delivers at least once."""
    created = await api.create()
    await delete(api, created["id"], table="drop")
    command = await command_of(api, created["id"])
    deleted_at = []
    for _ in range(2):
        await api.refreshes.on_refreshed(envelope(done(command)))
        query = select(ingestion.c.deleted_at).where(ingestion.c.id == UUID(created["id"]))
        deleted_at += [row.deleted_at for row in await api.rows(query)]
    assert deleted_at[0] is not None
    assert deleted_at[0] == deleted_at[1]


async def test_another_fate_of_the_table_is_refused(api: ApiUnderTest) -> None:
    """422, and nothing is begun."""
    created = await api.create()
    assert 422 == (await delete(api, created["id"], table="purge")).status_code
    assert await is_there(api, created["id"])
