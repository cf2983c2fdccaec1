"""What notifications told of is loaded soon, by one run, while nothing else of the ingestion runs."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from libs.common.contracts.events import RunCompleted, ScanStarted
from libs.common.ids import IngestionId
from libs.common.ledger.hints import Hints
from libs.common.ledger.model.hints import Hint
from libs.common.storage.control import audit, ingestion, run
from libs.common.storage.following import following
from libs.common.storage.outbox import Outbox
from services.api.clusters.registry import Clusters
from services.api.runs.requests import RunRequests
from services.api.triggers.arrivals import Arrivals
from services.api.triggers.listings import Listings
from tests.integration.api.harness import INGESTIONS, ApiUnderTest, Story
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio
AT_ONCE = {"trigger": "event", "events": {"max_delay_s": 0}}
LONG = timedelta(hours=1)


def requests(api: ApiUnderTest) -> RunRequests:
    return RunRequests(api.database, Clusters({"local": "sc://localhost:15002"}), Outbox(source="autoloader/api"))


def arrivals(api: ApiUnderTest) -> Arrivals:
    return Arrivals(api.database, requests(api))


def listings(api: ApiUnderTest, *, settled: timedelta = timedelta(0), again_after: timedelta = LONG) -> Listings:
    return Listings(api.database, requests(api), settled=settled, again_after=again_after)


async def followed(api: ApiUnderTest, **schedule: Any) -> str:
    """An active ingestion that follows notifications, and whose source was listed."""
    created = await api.create(schedule={**AT_ONCE, **schedule})
    await resumed(api, created["id"])
    await listings(api).look()
    for found in await runs(api, created["id"]):
        await api.end(created["id"], str(found.id))
    return str(created["id"])


async def resumed(api: ApiUnderTest, ingestion_id: str) -> None:
    for action in ("pause", "resume"):
        answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/{action}")
        assert 200 == answer.status_code, answer.text


async def notice(api: ApiUnderTest, ingestion_id: str, *keys: str, size_bytes: int = 1) -> None:
    hints = [Hint(IngestionId(UUID(ingestion_id)), "landing", key, size_bytes) for key in keys]
    await Hints(api.database).add(hints)


async def runs(api: ApiUnderTest, ingestion_id: str, trigger: str | None = None) -> list[Any]:
    query = select(run).where(run.c.ingestion_id == UUID(ingestion_id)).order_by(run.c.created_at)
    return await api.rows(query if trigger is None else query.where(run.c.trigger == trigger))


async def test_a_hint_begins_a_run(api: ApiUnderTest) -> None:
    """In the lane of what is fresh, announced, and in the audit trail under a name of its own."""
    ingestion_id = await followed(api)
    await notice(api, ingestion_id, "flights/a.json")
    await arrivals(api).look()
    [begun] = await runs(api, ingestion_id, "event")
    assert ("fresh", {"hinted": True}) == (begun.lane, begun.scope)
    assert begun.id in [message.run_id for message in await api.requested(ingestion_id)]
    trail = await api.rows(select(audit.c.actor).where(audit.c.details["run_id"].astext == str(begun.id)))
    assert ["autoloader/events"] == [row.actor for row in trail]


async def test_many_processes_begin_one_run(api: ApiUnderTest) -> None:
    """They look at the same moment."""
    ingestion_id = await followed(api)
    await notice(api, ingestion_id, "flights/a.json")
    await asyncio.gather(*(arrivals(api).look() for _ in range(8)))
    assert 1 == len(await runs(api, ingestion_id, "event"))


async def test_what_comes_during_a_run_is_gathered_for_the_next(api: ApiUnderTest) -> None:
    """Whoever asked for the run that is under way."""
    ingestion_id = await followed(api)
    by_hand = await api.request_run(ingestion_id)
    await notice(api, ingestion_id, "flights/a.json")
    await arrivals(api).look()
    assert [] == await runs(api, ingestion_id, "event")
    await api.end(ingestion_id, by_hand)
    await arrivals(api).look()
    assert 1 == len(await runs(api, ingestion_id, "event"))


async def test_hints_wait_until_there_are_enough(api: ApiUnderTest) -> None:
    """Counted by files and by bytes; one that is noticed twice counts once."""
    ingestion_id = await followed(api, events={"max_delay_s": 3600, "max_files": 3, "max_bytes": 1000})
    await notice(api, ingestion_id, "flights/a.json", "flights/b.json")
    await notice(api, ingestion_id, "flights/a.json")
    await arrivals(api).look()
    assert [] == await runs(api, ingestion_id, "event")
    await notice(api, ingestion_id, "flights/c.json")
    await arrivals(api).look()
    assert 1 == len(await runs(api, ingestion_id, "event"))
    other = await followed(api, events={"max_delay_s": 3600, "max_bytes": 1000})
    await notice(api, other, "flights/large.json", size_bytes=1000)
    await arrivals(api).look()
    assert 1 == len(await runs(api, other, "event"))


async def test_a_pause_and_a_patch_turn_it_off(api: ApiUnderTest) -> None:
    """Hints that are there wait; resumed, they are loaded."""
    ingestion_id = await followed(api)
    await notice(api, ingestion_id, "flights/a.json")
    await api.client.post(f"{INGESTIONS}/{ingestion_id}/pause")
    await arrivals(api).look()
    assert [] == await runs(api, ingestion_id, "event")
    await resumed(api, ingestion_id)
    by_hand = {"schedule": {"trigger": "time", "frequency": "daily"}}
    answer = await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json=by_hand)
    assert 200 == answer.status_code, answer.text
    await arrivals(api).look()
    assert [] == await runs(api, ingestion_id, "event")
    await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json={"schedule": {"trigger": "event"}})
    await listings(api).look()
    await arrivals(api).look()
    assert 1 == len(await runs(api, ingestion_id, "event"))


async def test_a_run_that_fails_is_not_begun_again_at_once(api: ApiUnderTest) -> None:
    """Its scan was refused by the store, so the hints are all there still."""
    ingestion_id = await followed(api)
    await notice(api, ingestion_id, "flights/a.json")
    await arrivals(api).look()
    [first] = await runs(api, ingestion_id, "event")
    story = Story(ingestion_id, str(first.id))
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, outcome="failed"))
    await api.rows(update(run).where(run.c.id == first.id).values(ended_at=run.c.created_at))
    await arrivals(api).look()
    assert 1 == len(await runs(api, ingestion_id, "event"))
    long_ago = update(run).where(run.c.id == first.id).values(ended_at=run.c.created_at - LONG)
    await api.rows(long_ago)
    await arrivals(api).look()
    assert 2 == len(await runs(api, ingestion_id, "event"))
    [row] = await api.rows(select(following).where(following.c.ingestion_id == UUID(ingestion_id)))
    assert 1 == row.failures


async def test_one_that_is_refused_does_not_hold_up_the_others(api: ApiUnderTest) -> None:
    """Its cluster was taken out of the settings."""
    lost, fine = await followed(api), await followed(api)
    definition = ingestion.c.definition.op("||")({"cluster_id": "gone"})
    await api.rows(update(ingestion).where(ingestion.c.id == UUID(lost)).values(definition=definition))
    await notice(api, lost, "flights/a.json")
    await notice(api, fine, "flights/a.json")
    await arrivals(api).look()
    assert [] == await runs(api, lost, "event")
    assert 1 == len(await runs(api, fine, "event"))


async def test_a_source_is_listed_when_it_begins_to_be_followed(api: ApiUnderTest) -> None:
    """Once every scanner must know of it, in the lane of backfills, and once."""
    created = await api.create(schedule=AT_ONCE)
    await listings(api).look()
    assert [] == await runs(api, created["id"])
    await resumed(api, created["id"])
    patient = listings(api, settled=timedelta(milliseconds=300))
    await patient.look()
    assert [] == await runs(api, created["id"])

    async def all_look() -> list[Any]:
        await asyncio.gather(*(patient.look() for _ in range(4)))
        return await runs(api, created["id"])

    [listing] = await eventually(all_look)
    assert ("backfill", "backfill") == (listing.trigger, listing.lane)
    assert ["noticed_since"] == list(listing.scope)


async def test_a_change_of_the_definition_has_the_source_listed_anew(api: ApiUnderTest) -> None:
    """What it wants now may have landed long ago. So may what landed during a pause."""
    ingestion_id = await followed(api)
    answer = await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json={"source": {"file_pattern": "*.ndjson"}})
    assert 200 == answer.status_code, answer.text
    await listings(api).look()
    second = (await runs(api, ingestion_id))[-1]
    await api.end(ingestion_id, str(second.id))
    await resumed(api, ingestion_id)
    await listings(api).look()
    assert 3 == len(await runs(api, ingestion_id, "backfill"))


async def test_a_source_is_listed_every_interval(api: ApiUnderTest) -> None:
    """For what notifications missed."""
    ingestion_id = await followed(api, backfill_interval="2 hours")
    await listings(api).look()
    assert 1 == len(await runs(api, ingestion_id))
    mine = following.c.ingestion_id == UUID(ingestion_id)
    await api.rows(update(following).where(mine).values(listing_at=following.c.listing_at - 2 * LONG))
    await listings(api).look()
    assert 2 == len(await runs(api, ingestion_id))


async def test_a_listing_that_failed_is_asked_for_again(api: ApiUnderTest) -> None:
    """After a pause, and not only after a day."""
    created = await api.create(schedule=AT_ONCE)
    await resumed(api, created["id"])
    await listings(api).look()
    [listing] = await runs(api, created["id"])
    story = Story(created["id"], str(listing.id))
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, outcome="failed"))
    await api.rows(update(run).where(run.c.id == listing.id).values(ended_at=run.c.created_at))
    await listings(api).look()
    assert 1 == len(await runs(api, created["id"]))
    await listings(api, again_after=timedelta(0)).look()
    assert 2 == len(await runs(api, created["id"]))
