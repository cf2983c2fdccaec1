"""Asking for runs: one is active, one waits, and every request is announced exactly when it is stored."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from libs.common import failpoints
from libs.common.contracts.events import RunCompleted, ScanStarted
from libs.common.errors import Permanent
from libs.common.storage.control import ingestion, outbox, run
from libs.common.storage.definitions import RunDefinitions
from tests.integration.api.harness import CREDENTIALS, INGESTIONS, ApiUnderTest, Story, definition

pytestmark = pytest.mark.asyncio


async def test_a_run_is_stored_and_announced_together(api: ApiUnderTest) -> None:
    """202 with its id and address; one message for the scanner; the relay is woken."""
    created = await api.create()
    answer = await api.client.post(f"{INGESTIONS}/{created['id']}/run")
    body = answer.json()
    assert (answer.status_code, body["status"], body["queued"]) == (202, "accepted", False)
    assert f"{INGESTIONS}/{created['id']}/runs/{body['run_id']}" == answer.headers["Location"]
    [message] = await api.requested(created["id"])
    assert (body["run_id"], created["id"], 1, api.tenant_id, "manual") == (
        str(message.run_id), str(message.ingestion_id), message.generation, message.tenant_id, message.trigger
    )  # fmt: skip
    assert api.relay.pokes == 1
    shown = await api.run(created["id"], body["run_id"])
    assert (
        shown["status"], shown["trigger"], shown["started_at"], shown["waiting_on"]
    ) == ("accepted", "manual", None, None)  # fmt: skip
    metadata = (await api.client.get(f"{INGESTIONS}/{created['id']}")).json()["metadata"]
    assert (body["run_id"], shown["created_at"]) == (metadata["last_run_id"], metadata["last_run_time"])


async def test_a_second_run_waits_and_a_third_joins_it(api: ApiUnderTest) -> None:
    """Only the first is announced; whatever the third would find, the second finds."""
    created = await api.create()
    first, second, third = [await api.request_run(created["id"]) for _ in range(3)]
    assert first != second
    assert second == third
    assert [first] == [str(message.run_id) for message in await api.requested(created["id"])]
    waiting = await api.run(created["id"], second)
    assert (waiting["status"], waiting["queued"]) == ("accepted", True)
    assert "another run" in waiting["waiting_on"]
    listed = (await api.client.get(f"{INGESTIONS}/{created['id']}/runs")).json()
    assert [second, first] == [each["id"] for each in listed]


async def test_requests_at_once_make_one_active_and_one_waiting_run(api: ApiUnderTest) -> None:
    """However they race, nobody gets an error, and no run is lost or doubled."""
    created = await api.create()
    answers = await asyncio.gather(*(api.client.post(f"{INGESTIONS}/{created['id']}/run") for _ in range(12)))
    assert {202} == {answer.status_code for answer in answers}
    by_run = Counter(answer.json()["run_id"] for answer in answers)
    assert sorted(by_run.values()) == [1, 11]
    assert len(await api.requested(created["id"])) == 1


async def test_the_waiting_run_starts_when_the_active_one_ends(api: ApiUnderTest) -> None:
    """In the same transaction; then there is room for another one."""
    created = await api.create()
    first, second = [await api.request_run(created["id"]) for _ in range(2)]
    pokes = api.relay.pokes
    await api.end(created["id"], first)
    assert [first, second] == [str(message.run_id) for message in await api.requested(created["id"])]
    assert pokes + 2 == api.relay.pokes  # once for each of its facts: both change what is told of runs
    assert not (await api.run(created["id"], second))["queued"]
    assert await api.request_run(created["id"]) not in (first, second)


async def test_a_run_ends_while_others_are_requested(api: ApiUnderTest) -> None:
    """The end of a run and new requests take turns: there is always an active run, never two, and all end."""
    created = await api.create()
    active = await api.request_run(created["id"])
    for _ in range(8):
        story = Story(created["id"], active)
        await asyncio.gather(
            api.tell(story.fact(RunCompleted, outcome="success")), *(api.request_run(created["id"]) for _ in range(3))
        )
        unfinished = await api.rows(
            select(run.c.id, run.c.dispatched_at).where(
                run.c.ingestion_id == UUID(created["id"]), run.c.ended_at.is_(None)
            )
        )
        dispatched = [row.id for row in unfinished if row.dispatched_at is not None]
        assert len(dispatched) == 1, unfinished
        active = str(dispatched[0])


async def test_a_run_keeps_the_definition_that_it_was_accepted_with(api: ApiUnderTest) -> None:
    """Credentials are the exception: those that are stored now."""
    created = await api.create(source={**definition()["source"], "credentials": CREDENTIALS})
    run_id = await api.request_run(created["id"])
    rotated = {**CREDENTIALS, "aws_secret_access_key": "rotated"}
    patch = {"source": {"file_pattern": "*.later", "credentials": rotated}}
    await api.client.patch(f"{INGESTIONS}/{created['id']}", json=patch)
    given = await RunDefinitions(api.database, api.box).of(UUID(run_id))
    assert (
        given.definition.source.file_pattern, given.definition.destination.identifier
    ) == ("*.json", "lake.demo.flights")  # fmt: skip
    assert (UUID(created["id"]), api.tenant_id, 1, "manual") == (
        given.ingestion_id, given.tenant_id, given.generation, given.trigger
    )  # fmt: skip
    assert given.credentials is not None
    assert given.credentials.aws_secret_access_key == "rotated"
    assert "rotated" not in repr(given)


async def test_the_definition_of_a_run_that_nobody_asked_for_is_refused(api: ApiUnderTest) -> None:
    """A scanner sets such a request aside."""
    with pytest.raises(Permanent, match="no run has the id") as caught:
        await RunDefinitions(api.database, api.box).of(uuid4())
    assert caught.value.code == "unknown_run"


async def test_a_repeated_request_is_one_run(api: ApiUnderTest) -> None:
    """The same key, even at once, is the same run; nothing is queued behind it."""
    created = await api.create()
    key = {"Idempotency-Key": uuid4().hex}
    path = f"{INGESTIONS}/{created['id']}/run"
    answers = await asyncio.gather(*(api.client.post(path, headers=key) for _ in range(6)))
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert (await api.client.get(f"{path}s")).headers["X-Total-Count"] == "1"
    other = await api.create()
    reused = await api.client.post(f"{INGESTIONS}/{other['id']}/run", headers=key)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(("point", "stored"), [("api.before_tx", 0), ("api.after_tx", 1)])
async def test_a_crash_leaves_the_run_and_its_message_or_neither(api: ApiUnderTest, point: str, stored: int) -> None:
    """Before the transaction nothing exists; after it both do, though the client saw an error."""
    created = await api.create()
    key = {"Idempotency-Key": uuid4().hex}
    path = f"{INGESTIONS}/{created['id']}/run"
    failpoints.arm(f"{point}:raise")
    try:
        answer = await api.client.post(path, headers=key)
    finally:
        failpoints.arm(None)
    assert answer.status_code == 500
    assert stored == len(await api.requested(created["id"]))
    assert str(stored) == (await api.client.get(f"{path}s")).headers["X-Total-Count"]
    assert (await api.client.post(path, headers=key)).status_code == 202
    assert len(await api.requested(created["id"])) == 1


async def test_a_cluster_that_left_the_settings_stops_the_run_at_once(api: ApiUnderTest) -> None:
    """The request is refused instead of a run that could never begin."""
    created = await api.create()
    await _move_to_cluster(api, created["id"], "gone")
    answer = await api.client.post(f"{INGESTIONS}/{created['id']}/run")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_cluster")
    assert (await api.client.get(f"{INGESTIONS}/{created['id']}")).json()["spark_connect_url"] is None


async def test_while_kafka_is_away_the_run_says_so(api: ApiUnderTest) -> None:
    """As long as its request waits in the outbox; once it is sent, an outage is not its problem."""
    created = await api.create()
    run_id = await api.request_run(created["id"])
    api.relay.problem = "no broker answers"
    waiting = await api.run(created["id"], run_id)
    assert "Kafka at kafka:9092" in waiting["waiting_on"]
    assert waiting["waiting_on"].endswith("(no broker answers); the request is kept and will be sent")
    await api.rows(outbox.delete().where(outbox.c.key == created["id"]))
    assert (await api.run(created["id"], run_id))["waiting_on"] is None


async def test_without_a_scanner_the_run_says_so(api: ApiUnderTest) -> None:
    """After a while in which nobody took it."""
    created = await api.create()
    run_id = await api.request_run(created["id"])
    long_ago = func.now() - timedelta(minutes=1)
    await api.rows(update(run).where(run.c.id == UUID(run_id)).values(dispatched_at=long_ago))
    assert "scanner" in (await api.run(created["id"], run_id))["waiting_on"]
    await api.tell(Story(created["id"], run_id).fact(ScanStarted, attempt=1))
    assert (await api.run(created["id"], run_id))["waiting_on"] is None


async def test_a_run_is_found_under_its_own_ingestion_only(api: ApiUnderTest) -> None:
    """404 for another ingestion's run, an unknown run, and an unknown ingestion."""
    mine, other = await api.create(), await api.create()
    run_id = await api.request_run(mine["id"])
    for path in (f"{other['id']}/runs/{run_id}", f"{mine['id']}/runs/{uuid4()}", f"{uuid4()}/runs/{run_id}"):
        answer = await api.client.get(f"{INGESTIONS}/{path}")
        assert answer.status_code == 404
        assert answer.json()["hint"]


async def _move_to_cluster(api: ApiUnderTest, ingestion_id: str, cluster_id: str) -> None:
    """As if the cluster had been in the settings when the ingestion was made."""
    changed = ingestion.c.definition.concat(literal({"cluster_id": cluster_id}, JSONB))
    await api.rows(update(ingestion).where(ingestion.c.id == UUID(ingestion_id)).values(definition=changed))
