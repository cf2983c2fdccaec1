"""Refreshes as clients ask for them: the answer says what the executor said, and nothing else."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from libs.common.contracts.codec import decode
from libs.common.contracts.events import (
    Problem,
    RefreshTable,
    RunCompleted,
    ScanStarted,
    TableRefreshed,
    TableRefreshFailed,
)
from libs.common.ids import IngestionId, RunId
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.control import audit, outbox, refresh, run
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, Story, envelope
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio

CONFIRMED = {"confirm": True}
FULL = ["table_dropped", "processed_files_cleared", "run_triggered"]


async def ask(api: ApiUnderTest, ingestion_id: str, mode: str = "full", **more: Any) -> Any:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/refresh/{mode}", json={**CONFIRMED, **more})


async def commands(api: ApiUnderTest, ingestion_id: str) -> list[RefreshTable]:
    query = select(outbox.c.value).where(outbox.c.key == ingestion_id).order_by(outbox.c.id)
    messages = [decode(row.value).message for row in await api.rows(query)]
    return [message for message in messages if isinstance(message, RefreshTable)]


def done(command: RefreshTable, **changes: Any) -> TableRefreshed:
    fields: dict[str, Any] = {
        **command.model_dump(exclude={"mode"}),
        "occurred_at": START,
        "kept_as": "lake.demo.flights__g1_x",
        "files_loaded_before": 3,
        "files_kept": 0,
        **changes,
    }
    return TableRefreshed(**fields)


def failed(command: RefreshTable, *, is_over: bool) -> TableRefreshFailed:
    return TableRefreshFailed(
        refresh_id=command.refresh_id,
        ingestion_id=command.ingestion_id,
        occurred_at=START,
        phase="requested" if is_over else "fenced",
        problem=Problem(error_type="spark_unreachable", message="Spark is away", hint="start it"),
        is_over=is_over,
    )


async def asked(api: ApiUnderTest, ingestion_id: str, **more: Any) -> RefreshTable:
    assert 202 == (await ask(api, ingestion_id, **more)).status_code
    return (await commands(api, ingestion_id))[-1]


@pytest.mark.parametrize("body", [None, {}, {"confirm": False}, {"confirm": False, "dry_run": True}])
async def test_a_refresh_has_to_be_confirmed(api: ApiUnderTest, body: dict[str, Any] | None) -> None:
    """422 that names the field, and nothing is begun."""
    created = await api.create()
    answer = await api.client.post(f"{INGESTIONS}/{created['id']}/refresh/full", json=body)
    assert 422 == answer.status_code
    assert ["body", "confirm"] == answer.json()["detail"][0]["loc"]
    assert [] == await commands(api, created["id"])


async def test_a_refresh_nobody_has_done_yet_is_pending(api: ApiUnderTest) -> None:
    """After the wait: three operations, none of them claimed; stored, announced and audited together."""
    created = await api.create()
    answer = await ask(api, created["id"])
    body = answer.json()
    assert (202, "accepted", "full", None) == (answer.status_code, body["status"], body["mode"], body["run_id"])
    assert [(name, "pending") for name in FULL] == [(o["operation"], o["status"]) for o in body["operations"]]
    [command] = await commands(api, created["id"])
    assert (body["refresh_id"], "full", 1, 2) == (
        str(command.refresh_id), command.mode, command.from_generation, command.to_generation
    )  # fmt: skip
    [trail] = await api.rows(
        select(audit).where(audit.c.action == "refresh.requested", audit.c.subject_id == UUID(created["id"]))
    )
    assert trail.destructive


@pytest.mark.parametrize(
    ("mode", "operations"),
    [
        ("full", ["table_dropped", "processed_files_cleared", "run_triggered"]),
        ("new-only", ["table_dropped", "run_triggered"]),
    ],
)
async def test_a_refresh_that_is_done_is_told_as_done(api: ApiUnderTest, mode: str, operations: list[str]) -> None:
    """The answer waits for it: the ingestion is in its new generation, and its run is on its way."""
    created = await api.create()
    answering = asyncio.create_task(ask(api, created["id"], mode))
    await eventually(lambda: commands(api, created["id"]), what="the refresh is announced")
    [command] = await commands(api, created["id"])
    await api.refreshes.on_refreshed(envelope(done(command)))
    body = (await answering).json()
    assert [(name, "success") for name in operations] == [(o["operation"], o["status"]) for o in body["operations"]]
    assert "lake.demo.flights__g1_x" in body["operations"][0]["details"]
    assert 2 == (await api.client.get(f"{INGESTIONS}/{created['id']}")).json()["generation"]
    [request] = await api.requested(created["id"])
    assert (body["run_id"], 2, "refresh") == (str(request.run_id), request.generation, request.trigger)


async def test_the_same_fact_twice_asks_for_one_run(api: ApiUnderTest) -> None:
    """Kafka delivers at least once, and a lost end is told again as a new event."""
    created = await api.create()
    command = await asked(api, created["id"])
    for _ in range(2):
        await api.refreshes.on_refreshed(envelope(done(command)))
    await api.refreshes.on_failed(envelope(failed(command, is_over=False)))
    assert 1 == len(await api.requested(created["id"]))
    [row] = await api.rows(select(refresh).where(refresh.c.id == command.refresh_id))
    assert ("success", None) == (row.status, row.problem)


async def test_no_table_and_no_run_are_told_as_such(api: ApiUnderTest) -> None:
    """Skipped, not succeeded; without auto_run there is no such operation."""
    created = await api.create()
    key = {"Idempotency-Key": str(uuid4())}
    path, body = f"{INGESTIONS}/{created['id']}/refresh/full", {"confirm": True, "auto_run": False}
    first = (await api.client.post(path, json=body, headers=key)).json()
    [command] = await commands(api, created["id"])
    await api.refreshes.on_refreshed(envelope(done(command, kept_as=None, files_loaded_before=0)))
    again = await api.client.post(path, json=body, headers=key)
    assert ("true", first["refresh_id"]) == (again.headers["Idempotency-Replayed"], again.json()["refresh_id"])
    assert [("table_dropped", "skipped"), ("processed_files_cleared", "success")] == [
        (o["operation"], o["status"]) for o in again.json()["operations"]
    ]
    assert [] == await api.requested(created["id"])
    assert 1 == len(await commands(api, created["id"]))


@pytest.mark.parametrize(("is_over", "left"), [(True, "skipped"), (False, "pending")])
async def test_a_failure_is_told_with_its_reason(api: ApiUnderTest, is_over: bool, left: str) -> None:
    """Over: nothing was changed, and another may be asked for. Not over: it goes on, and another has to wait."""
    created = await api.create()
    answering = asyncio.create_task(ask(api, created["id"]))
    await eventually(lambda: commands(api, created["id"]), what="the refresh is announced")
    [command] = await commands(api, created["id"])
    await api.refreshes.on_failed(envelope(failed(command, is_over=is_over)))
    body = (await answering).json()
    assert ("partial_failure", None) == (body["status"], body["run_id"])
    first, *others = body["operations"]
    assert ("failed", "Spark is away", "spark_unreachable") == (first["status"], first["error"], first["error_code"])
    assert [left, left] == [o["status"] for o in others]
    assert 1 == (await api.client.get(f"{INGESTIONS}/{created['id']}")).json()["generation"]
    assert (202 if is_over else 409) == (await ask(api, created["id"])).status_code


async def test_while_a_refresh_is_under_way_the_ingestion_is_busy(api: ApiUnderTest) -> None:
    """No second refresh, no run of the old generation, no deletion."""
    created = await api.create()
    answers = await asyncio.gather(ask(api, created["id"]), ask(api, created["id"], "new-only"))
    assert [202, 409] == sorted(answer.status_code for answer in answers)
    path = f"{INGESTIONS}/{created['id']}"
    for refused in (await api.client.post(f"{path}/run"), await api.client.delete(path)):
        assert (409, "refresh_active") == (refused.status_code, refused.json()["code"])


async def test_runs_of_the_old_generation_that_never_began_are_cancelled(api: ApiUnderTest) -> None:
    """The active one and the waiting one, with the reason; the refresh's own run takes their place."""
    created = await api.create()
    active, queued = [await api.request_run(created["id"]) for _ in range(2)]
    command = await asked(api, created["id"])
    await api.refreshes.on_refreshed(envelope(done(command)))
    for run_id in (active, queued):
        shown = await api.run(created["id"], run_id)
        assert ("cancelled", ["refreshed"]) == (shown["status"], [e["error_type"] for e in shown["errors"]])
    assert [active, str((await _last_run(api, created["id"])).id)] == [
        str(message.run_id) for message in await api.requested(created["id"])
    ]


async def test_the_new_run_waits_for_one_of_the_old_generation_that_is_ending(api: ApiUnderTest) -> None:
    """It began: the executor ends it, and tells so on another topic, maybe later."""
    created = await api.create()
    old = await api.request_run(created["id"])
    scanner = ScanLedger(api.database, Outbox(source="autoloader/test"), owner="s", lease=timedelta(minutes=5))
    await scanner.claim(RunId(UUID(old)), IngestionId(UUID(created["id"])), 1)
    story = Story(created["id"], old)
    await api.tell(story.fact(ScanStarted, attempt=1))
    await api.refreshes.on_refreshed(envelope(done(await asked(api, created["id"]))))
    new = await _last_run(api, created["id"])
    assert new.dispatched_at is None
    await api.tell(story.fact(RunCompleted, outcome="cancelled"))
    assert (await _last_run(api, created["id"])).dispatched_at is not None


async def test_a_dry_run_changes_nothing(api: ApiUnderTest) -> None:
    """It says what would be done, to how many files, and how to go on."""
    created = await api.create()
    for number in range(3):
        api.objects.put("landing", f"flights/{number}.json", b"{}\n")
    body = (await ask(api, created["id"], dry_run=True)).json()
    assert ("dry_run", [], None) == (body["status"], body["operations"], body["run_id"])
    assert ["table_dropped", "processed_files_cleared", "run_triggered"] == [
        o["operation"] for o in body["would_perform"]
    ]
    assert created["id"] in body["next_steps"]["to_proceed"]
    assert (3, 0) == (body["impact"]["files_to_process"], body["impact"]["files_skipped"])
    assert [] == await commands(api, created["id"])
    assert [] == await api.rows(select(refresh).where(refresh.c.ingestion_id == UUID(created["id"])))


async def test_numbers_that_are_not_known_are_null_with_a_note(api: ApiUnderTest) -> None:
    """The source cannot be listed: that is no reason to refuse, and none to guess."""
    created = await api.create(source={"path": "s3://nowhere/", "file_pattern": "*.json"})
    body = (await ask(api, created["id"], dry_run=True)).json()
    assert {None} == set(body["impact"].values())
    assert any("nowhere" in note for note in body["notes"])


async def test_a_command_that_was_lost_is_given_again(api: ApiUnderTest) -> None:
    """Until the refresh has ended."""
    created = await api.create()
    command = await asked(api, created["id"])
    await api.reminder.remind()
    assert [command, command] == await commands(api, created["id"])
    await api.refreshes.on_refreshed(envelope(done(command)))
    await api.reminder.remind()
    assert 2 == len(await commands(api, created["id"]))


async def _last_run(api: ApiUnderTest, ingestion_id: str) -> Any:
    query = select(run).where(run.c.ingestion_id == UUID(ingestion_id)).order_by(run.c.created_at.desc()).limit(1)
    return (await api.rows(query))[0]
