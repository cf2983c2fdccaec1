"""Webhooks over REST, told by the projector's own transactions, sent by a real courier to real receivers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from libs.common.contracts.events import FileBatchCommitted, RunCompleted, ScanStarted
from libs.common.ledger.tables import schema_version
from libs.common.storage.control import idempotency, webhook, webhook_delivery
from services.api.webhooks import queue
from services.api.webhooks.attempts import Attempt, Decision, Patience
from services.api.webhooks.courier import Courier
from services.api.webhooks.sender import Sender
from services.api.webhooks.signing import signed_headers
from tests.integration.api.harness import ApiUnderTest, Story
from tests.integration.api.test_projection import BAD
from tests.support.eventually import eventually
from tests.support.receiver import receiver

pytestmark = pytest.mark.asyncio

WEBHOOKS = "/api/v1/webhooks"
QUICK = Patience(first_pause=timedelta(milliseconds=20), attempts_max=3)
TIMEOUT = timedelta(seconds=2)


def courier(
    api: ApiUnderTest, patience: Patience = QUICK, *, timeout: timedelta = TIMEOUT, private_allowed: bool = True
) -> Courier:
    return Courier(
        api.database,
        api.box,
        lambda: Sender(timeout_s=timeout.total_seconds(), private_allowed=private_allowed),
        patience,
        timeout=timeout,
        interval=timedelta(milliseconds=20),
    )


@asynccontextmanager
async def sending(*couriers: Courier) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in couriers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def create(api: ApiUnderTest, url: str, **more: Any) -> dict[str, Any]:
    answer = await api.client.post(WEBHOOKS, json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def ping(api: ApiUnderTest, webhook_id: str) -> str:
    answer = await api.client.post(f"{WEBHOOKS}/{webhook_id}/ping")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def delivery(api: ApiUnderTest, webhook_id: str, delivery_id: str) -> dict[str, Any]:
    answer = await api.client.get(f"{WEBHOOKS}/{webhook_id}/deliveries/{delivery_id}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def ended(api: ApiUnderTest, webhook_id: str, delivery_id: str) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        shown = await delivery(api, webhook_id, delivery_id)
        return shown if shown["state"] != "waiting" else None

    shown: dict[str, Any] = await eventually(over, 20, what="the delivery ends")
    return shown


async def waiting(api: ApiUnderTest, webhook_id: str) -> list[dict[str, Any]]:
    """The events that are written down for a webhook, in order."""
    query = select(webhook_delivery.c.body).where(webhook_delivery.c.webhook_id == UUID(webhook_id))
    return [json.loads(row.body) for row in await api.rows(query.order_by(webhook_delivery.c.created_at))]


async def test_the_secret_is_shown_once_and_signs_what_is_sent(api: ApiUnderTest) -> None:
    """No other answer has it, and no row holds it in the open."""
    async with receiver() as hook, sending(courier(api)):
        created = await create(api, hook.url)
        await ended(api, created["id"], await ping(api, created["id"]))
    [request] = hook.received
    event = json.loads(request.body)
    assert ("webhook.ping.v1", created["id"]) == (event["type"], event["data"]["webhook_id"])
    assert event["id"] == request.headers["webhook-id"]
    assert request.headers["content-type"] == "application/cloudevents+json"
    sent_at = (await api.rows(select(func.to_timestamp(int(request.headers["webhook-timestamp"])).label("at"))))[0].at
    expected = signed_headers(created["secret"], event["id"], sent_at, request.body)
    assert expected["webhook-signature"] == request.headers["webhook-signature"]
    shown = (await api.client.get(f"{WEBHOOKS}/{created['id']}")).text
    assert "secret" not in shown
    assert "whsec" not in (await api.client.get(WEBHOOKS)).text
    [row] = await api.rows(select(webhook).where(webhook.c.id == UUID(created["id"])))
    assert created["secret"].encode() not in row.sealed


async def test_a_repeated_creation_makes_one_webhook_and_shows_its_secret_again(api: ApiUnderTest) -> None:
    """The first answer may have been lost; it is not stored with the secret in it."""
    headers = {"Idempotency-Key": "hook-1"}
    body = {"url": "https://example.com/hook"}
    first, second = [await api.client.post(WEBHOOKS, json=body, headers=headers) for _ in range(2)]
    assert first.json() == second.json()
    assert "true" == second.headers["Idempotency-Replayed"]
    [row] = await api.rows(select(idempotency.c.body).where(idempotency.c.tenant_id == api.tenant_id))
    assert "whsec" not in str(row.body)
    assert (await api.client.delete(f"{WEBHOOKS}/{first.json()['id']}")).status_code == 204
    assert (await api.client.post(WEBHOOKS, json=body, headers=headers)).json()["secret"] is None


@pytest.mark.parametrize(("outcome", "event"), [("success", "run.finished"), ("failed", "run.failed")])
async def test_the_end_of_a_run_is_told_once(api: ApiUnderTest, outcome: str, event: str) -> None:
    """With the run as it is, whatever way its last fact comes, and to those who listen to it."""
    ingestion_id, other_id = [(await api.create())["id"] for _ in range(2)]
    hooks = {
        "all": await create(api, "https://example.com/1"),
        "mine": await create(api, "https://example.com/2", ingestion_id=ingestion_id, event_types=[event]),
        "other": await create(api, "https://example.com/3", ingestion_id=other_id),
        "deaf": await create(api, "https://example.com/4", event_types=["schema.changed"]),
    }
    run_id = await api.request_run(ingestion_id)
    story = Story(ingestion_id, run_id)
    end = story.fact(RunCompleted, outcome=outcome)
    await api.tell(story.fact(ScanStarted, attempt=1), end, end)
    told = {name: await waiting(api, each["id"]) for name, each in hooks.items()}
    assert {"all": 1, "mine": 1, "other": 0, "deaf": 0} == {name: len(events) for name, events in told.items()}
    [said] = told["mine"]
    assert (f"{event}.v1", run_id, outcome) == (said["type"], said["data"]["run_id"], said["data"]["status"])
    assert said["id"] != told["all"][0]["id"]


async def test_a_cancelled_run_is_told_with_its_reason(api: ApiUnderTest) -> None:
    """It ends in the request, before any message comes."""
    ingestion_id = (await api.create())["id"]
    hook = await create(api, "https://example.com/hook")
    run_id = await api.request_run(ingestion_id)
    await api.client.post(f"/api/v1/ingestions/{ingestion_id}/runs/{run_id}/cancel")
    [said] = await waiting(api, hook["id"])
    assert ("run.finished.v1", "cancelled") == (said["type"], said["data"]["status"])
    assert (await api.run(ingestion_id, run_id))["errors"][0]["message"] == said["data"]["problems"][0]["message"]


async def test_quarantined_records_and_new_columns_are_told_with_their_batch(api: ApiUnderTest) -> None:
    """In the transaction that takes the batch in; the version that makes the table is no change."""
    ingestion_id = (await api.create())["id"]
    hook = await create(api, "https://example.com/hook", event_types=["file.quarantined", "schema.changed"])
    run_id = await api.request_run(ingestion_id)
    first, second = uuid4(), uuid4()
    change = {"kind": "added", "column": "gate", "type": "string", "before": None, "file": "s3://l/b", "example": "A"}
    for version, batch_id, changes in ((1, first, []), (2, second, [change])):
        await api.rows(
            schema_version.insert().values(
                ingestion_id=UUID(ingestion_id), generation=1, version=version, columns=[], batch_id=batch_id,
                changes=changes,
            )
        )  # fmt: skip
    story = Story(ingestion_id, run_id)
    common: dict[str, Any] = {"snapshot_id": 7, "files": 1, "records": 9, "size_bytes": 9}
    clean = story.fact(FileBatchCommitted, batch_id=first, **common)
    bad = story.fact(FileBatchCommitted, batch_id=second, records_quarantined=1, problems=(BAD,), **common)
    await api.tell(clean, bad, bad)
    told = {event["type"]: event["data"] for event in await waiting(api, hook["id"])}
    assert {"file.quarantined.v1", "schema.changed.v1"} == told.keys()
    assert 2 == len(await waiting(api, hook["id"]))
    quarantined, changed = told["file.quarantined.v1"], told["schema.changed.v1"]
    assert (1, BAD.file, "lake.demo.flights") == (
        quarantined["records"], quarantined["problems"][0]["file"], quarantined["table"],
    )  # fmt: skip
    assert (2, "gate", "added") == (changed["version"], changed["changes"][0]["column"], changed["changes"][0]["kind"])


async def test_what_fails_is_sent_again_until_it_is_taken(api: ApiUnderTest) -> None:
    """With the same id each time; the webhook remembers no trouble afterwards."""
    elsewhere = "http://127.0.0.1:1/elsewhere"
    async with receiver(answers=[500, 302, 200], location=elsewhere) as hook, sending(courier(api)):
        created = await create(api, hook.url)
        shown = await ended(api, created["id"], await ping(api, created["id"]))
    assert ("delivered", 3, 200, None) == (
        shown["state"], shown["attempts"], shown["last_status"], shown["last_error"],
    )  # fmt: skip
    assert {shown["id"]} == set(hook.ids())
    assert {"/hook"} == {request.path for request in hook.received}, "a redirect is not followed"
    assert (await api.client.get(f"{WEBHOOKS}/{created['id']}")).json()["failing_since"] is None


async def test_what_is_given_up_can_be_seen_and_sent_again(api: ApiUnderTest) -> None:
    """Dead letters, with the reason; once the receiver is repaired, one request brings them out."""
    async with receiver(answers=[500, 0, 500, 200]) as hook, sending(courier(api, timeout=timedelta(seconds=0.5))):
        created = await create(api, hook.url)
        dead = await ended(api, created["id"], await ping(api, created["id"]))
        assert ("dead", 3, "answered 500") == (dead["state"], dead["attempts"], dead["last_error"])
        listed = await api.client.get(f"{WEBHOOKS}/{created['id']}/deliveries", params={"state": "dead"})
        assert [dead["id"]] == [each["id"] for each in listed.json()]
        again = await api.client.post(f"{WEBHOOKS}/{created['id']}/deliveries/{dead['id']}/redeliver")
        assert (202, "waiting", 0) == (again.status_code, again.json()["state"], again.json()["attempts"])
        shown = await ended(api, created["id"], dead["id"])
    assert ("delivered", 1) == (shown["state"], shown["attempts"])
    assert [dead["id"]] * 4 == hook.ids()


async def test_a_receiver_that_is_gone_is_left_alone_until_it_is_enabled(api: ApiUnderTest) -> None:
    """410 says so; nothing is sent, and nothing that happens meanwhile is kept for it."""
    async with receiver(answers=[410, 200]) as hook, sending(courier(api)):
        created = await create(api, hook.url)
        path = f"{WEBHOOKS}/{created['id']}"
        dead = await ended(api, created["id"], await ping(api, created["id"]))
        assert ("dead", 410, 1) == (dead["state"], dead["last_status"], dead["attempts"])
        shown = (await api.client.get(path)).json()
        assert "disabled" == shown["status"]
        assert "410" in shown["disabled_reason"]
        refused = await api.client.post(f"{path}/ping")
        assert (409, "webhook_disabled") == (refused.status_code, refused.json()["code"])
        ingestion_id = (await api.create())["id"]
        await api.end(ingestion_id, await api.request_run(ingestion_id))
        assert 1 == len(await waiting(api, created["id"]))
        assert "active" == (await api.client.post(f"{path}/enable")).json()["status"]
        await ended(api, created["id"], await ping(api, created["id"]))
    assert 2 == len(hook.received)


async def test_days_of_nothing_but_failures_disable_a_webhook(api: ApiUnderTest) -> None:
    """What waits stays, and goes out when it is enabled."""
    patience = Patience(first_pause=timedelta(hours=1), disable_after=timedelta(days=5))
    async with receiver(answers=[500, 500, 200]) as hook, sending(courier(api, patience)):
        created = await create(api, hook.url)
        path = f"{WEBHOOKS}/{created['id']}"
        delivery_id = await ping(api, created["id"])

        async def is_failing() -> bool:
            return (await api.client.get(path)).json()["failing_since"] is not None

        await eventually(is_failing, 20, what="the first failure is noted")
        of = webhook.c.id == UUID(created["id"])
        await api.rows(update(webhook).where(of).values(failing_since=func.now() - timedelta(days=6)))
        await api.rows(update(webhook_delivery).values(due_at=func.now()))

        async def is_disabled() -> bool:
            return bool((await api.client.get(path)).json()["status"] == "disabled")

        await eventually(is_disabled, 20, what="the webhook is disabled")
        shown = await delivery(api, created["id"], delivery_id)
        assert ("waiting", None) == (shown["state"], shown["next_attempt_at"])
        await api.client.post(f"{path}/enable")
        assert "delivered" == (await ended(api, created["id"], delivery_id))["state"]


async def test_a_slow_receiver_holds_up_nobody_else(api: ApiUnderTest) -> None:
    """It gets one request at a time, and another webhook's go past it."""
    patient = courier(api, timeout=timedelta(seconds=30))
    async with receiver(answers=[0]) as slow, receiver() as quick, sending(patient):
        tarrying, swift = await create(api, slow.url), await create(api, quick.url)
        for _ in range(20):
            await ping(api, tarrying["id"])
        await eventually(lambda: slow.received, 20, what="the slow one is asked")
        for _ in range(5):
            await ended(api, swift["id"], await ping(api, swift["id"]))
    assert 1 == len(slow.received)
    assert 5 == len(quick.received)


async def test_several_replicas_send_each_delivery_once(api: ApiUnderTest) -> None:
    """Postgres decides who sends what."""
    async with receiver() as hook:
        created = await create(api, hook.url)
        ids = {await ping(api, created["id"]) for _ in range(30)}
        async with sending(*(courier(api) for _ in range(3))):
            await eventually(lambda: len(hook.received) >= 30, 30, what="all are sent")
            for each in ids:
                await ended(api, created["id"], each)
    assert sorted(ids) == sorted(hook.ids())


async def test_a_sender_that_was_thought_dead_changes_nothing(api: ApiUnderTest) -> None:
    """Its time was over, and another one has the delivery: what it says of it does not count."""
    created = await create(api, "https://example.com/hook")
    delivery_id = await ping(api, created["id"])
    late, now = [await claimed(api) for _ in range(2)]
    assert (late.id, late.token + 1) == (now.id, now.token)
    given_up, taken = (Attempt(500), Decision("dead")), (Attempt(200), Decision("delivered"))
    for holder, (attempt, decision) in ((late, given_up), (now, taken), (late, given_up)):
        async with api.database.begin() as connection:
            await queue.record(connection, holder, attempt, decision, disable_after=timedelta(days=5))
    shown = await delivery(api, created["id"], delivery_id)
    assert ("delivered", 200) == (shown["state"], shown["last_status"])
    assert (await api.client.get(f"{WEBHOOKS}/{created['id']}")).json()["failing_since"] is None


async def claimed(api: ApiUnderTest) -> Any:
    """What is due, for no time at all."""
    others = select(webhook.c.id).where(webhook.c.tenant_id != api.tenant_id)
    busy = [row.id for row in await api.rows(others)]
    async with api.database.begin() as connection:
        [row] = await queue.claim(connection, at_most=1, lease=timedelta(0), but_not=busy)
    return row


async def test_a_name_that_leads_inside_is_not_called(api: ApiUnderTest) -> None:
    """What it stands for is looked at before each attempt; localhost is a name as any other."""
    async with receiver() as hook, sending(courier(api, private_allowed=False)):
        created = await create(api, hook.url.replace("127.0.0.1", "localhost"))
        dead = await ended(api, created["id"], await ping(api, created["id"]))
    assert "private address" in dead["last_error"]
    assert [] == hook.received


async def test_an_absent_receiver_is_told_apart_from_a_refusing_one(api: ApiUnderTest) -> None:
    """The reason is there for people to read."""
    async with sending(courier(api)):
        created = await create(api, "http://127.0.0.1:1/hook")
        dead = await ended(api, created["id"], await ping(api, created["id"]))
    assert (None, True) == (dead["last_status"], dead["last_error"].startswith("ConnectError"))


async def test_webhooks_are_their_tenants_own(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """Neither seen, nor told of others' runs."""
    created = await create(api, "https://example.com/hook")
    path = f"{WEBHOOKS}/{created['id']}"
    for method, part in (("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("POST", "/ping"), ("GET", "/deliveries")):
        answer = await neighbour.client.request(method, path + part)
        assert (404, "unknown_webhook") == (answer.status_code, answer.json()["code"])
    ingestion_id = (await neighbour.create())["id"]
    await neighbour.end(ingestion_id, await neighbour.request_run(ingestion_id))
    assert [] == await waiting(api, created["id"])
    refused = await api.client.post(WEBHOOKS, json={"url": "https://example.com/", "ingestion_id": ingestion_id})
    assert (404, "unknown_ingestion") == (refused.status_code, refused.json()["code"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://169.254.169.254/latest/meta-data"}, "bad_address"),
        ({"url": "gopher://example.com/"}, "bad_address"),
        ({"url": "https://example.com/", "event_types": []}, "invalid_request"),
        ({"url": "https://example.com/", "event_types": ["run.begun"]}, "invalid_request"),
        ({"url": "https://example.com/", "secret": "mine"}, "invalid_request"),
    ],
)
async def test_what_cannot_be_meant_is_refused(api: ApiUnderTest, body: dict[str, Any], code: str) -> None:
    """With the reason, and nothing stored."""
    answer = await api.client.post(WEBHOOKS, json=body)
    assert (422, code) == (answer.status_code, answer.json()["code"])
    assert [] == (await api.client.get(WEBHOOKS)).json()


async def test_old_deliveries_are_forgotten_and_those_that_wait_are_not(api: ApiUnderTest) -> None:
    """A month after they ended."""
    created = await create(api, "https://example.com/hook")
    ids = [await ping(api, created["id"]) for _ in range(3)]
    d = webhook_delivery
    for place, days in ((0, 31), (1, 29)):
        at = func.now() - timedelta(days=days)
        await api.rows(update(d).where(d.c.id == UUID(ids[place])).values(state="dead", ended_at=at))
    await api.sweeper.forget_old()
    listed = await api.client.get(f"{WEBHOOKS}/{created['id']}/deliveries")
    assert set(ids[1:]) == {each["id"] for each in listed.json()}
