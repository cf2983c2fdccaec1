"""Asking for a part of the history, over REST."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from libs.common.contracts.events import RunCompleted, ScanStarted
from libs.common.contracts.scope import ANY_AGE, Scope
from libs.common.contracts.topics import BACKFILL_REQUESTS, RUN_REQUESTS
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.storage.control import outbox
from libs.common.storage.definitions import RunDefinitions
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, Story

pytestmark = pytest.mark.asyncio


async def backfill(api: ApiUnderTest, ingestion_id: str, **part: Any) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/backfill", json=part)


async def test_a_backfill_is_a_run_with_a_scope(api: ApiUnderTest) -> None:
    """Scanners get it in their own words; clients see what they asked for."""
    ingestion_id = (await api.create())["id"]
    asked = {
        "prefix": "s3://landing/flights/2013/",
        "key_regex": "a|b",
        "modified_from": "2025-01-01T01:00:00+01:00",
        "modified_until": "2025-02-01T00:00:00Z",
        "keys": ["flights/2013/a.json", "s3://landing/flights/2013/a.json"],
        "max_files": 10,
        "max_bytes": 1000,
    }
    answer = await backfill(api, ingestion_id, **asked)
    assert 202 == answer.status_code, answer.text
    run_id = answer.json()["run_id"]
    assert f"{INGESTIONS}/{ingestion_id}/runs/{run_id}" == answer.headers["Location"]
    shown = await api.run(ingestion_id, run_id)
    assert "backfill" == shown["trigger"]
    scope = Scope.model_validate(shown["scope"])
    assert ("flights/2013/", ("flights/2013/a.json",), True) == (scope.prefix, scope.keys, scope.is_backfill)
    assert scope == (await RunDefinitions(api.database, api.box).of(UUID(run_id))).scope


async def test_the_lanes_do_not_wait_for_each_other(api: ApiUnderTest) -> None:
    """In each of them one run is active, and one waits."""
    ingestion_id = (await api.create())["id"]
    active = (await backfill(api, ingestion_id)).json()
    assert not active["queued"]
    fresh = await api.client.post(f"{INGESTIONS}/{ingestion_id}/run")
    assert not fresh.json()["queued"]
    waiting = (await backfill(api, ingestion_id, prefix="flights/2013/")).json()
    assert waiting["queued"]
    refused = await backfill(api, ingestion_id, prefix="flights/2014/")
    assert (409, "run_queued") == (refused.status_code, refused.json()["code"])
    async with api.database.read() as connection:
        sent = (await connection.scalars(select(outbox.c.topic).where(outbox.c.key == ingestion_id))).all()
    assert [BACKFILL_REQUESTS.name(), RUN_REQUESTS.name()] == list(sent)

    await api.end(ingestion_id, fresh.json()["run_id"])
    assert (await api.run(ingestion_id, waiting["run_id"]))["queued"]
    await api.end(ingestion_id, active["run_id"])
    assert not (await api.run(ingestion_id, waiting["run_id"]))["queued"]


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"prefix": "elsewhere/"}, "prefix_outside_source"),
        ({"keys": ["flights/a.json", "s3://other/flights/a.json"]}, "key_outside_source"),
        ({"keys": []}, "keys"),
        ({"key_regex": "(a"}, "regular expression"),
        ({"modified_from": "2025-01-02T00:00:00Z", "modified_until": "2025-01-01T00:00:00Z"}, "modified_until"),
        ({"modified_from": "2025-01-02T00:00:00"}, "timezone"),
        ({"max_files": 0}, "max_files"),
        ({"prefix": "flights/\x00"}, "NUL"),
        ({"pattern": "*.json"}, "pattern"),
    ],
)
async def test_a_part_that_makes_no_sense_is_refused(api: ApiUnderTest, part: dict[str, Any], told: str) -> None:
    """And the field is named."""
    ingestion_id = (await api.create())["id"]
    answer = await backfill(api, ingestion_id, **part)
    assert 422 == answer.status_code
    assert told in answer.text


async def test_a_paused_ingestion_backfills_nothing(api: ApiUnderTest) -> None:
    ingestion_id = (await api.create())["id"]
    await api.client.post(f"{INGESTIONS}/{ingestion_id}/pause")
    answer = await backfill(api, ingestion_id)
    assert (409, "ingestion_paused") == (answer.status_code, answer.json()["code"])


async def test_a_lost_request_is_sent_again_in_its_lane(api: ApiUnderTest) -> None:
    """As for any other run."""
    ingestion_id = (await api.create())["id"]
    run_id = (await backfill(api, ingestion_id)).json()["run_id"]
    await api.rows(outbox.delete().where(outbox.c.key == ingestion_id))
    await api.sweeper.sweep()
    assert [run_id] == [str(message.run_id) for message in await api.requested(ingestion_id)]
    async with api.database.read() as connection:
        sent = (await connection.scalars(select(outbox.c.topic).where(outbox.c.key == ingestion_id))).all()
    assert [BACKFILL_REQUESTS.name()] == list(sent)


async def test_a_retry_of_a_backfill_is_in_its_lane_and_minds_no_age(api: ApiUnderTest) -> None:
    """The definition leaves out the file that failed."""
    ingestion_id = (await api.create())["id"]
    run_id = (await backfill(api, ingestion_id, max_files=1)).json()["run_id"]
    story = Story(ingestion_id, run_id)
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, outcome="partial"))
    failed = FileVersion("landing", "flights/a", "v1", 1, START)
    await api.ledger_has(ingestion_id, failed, FileState.FAILED, run_id)
    await api.request_run(ingestion_id)
    retried = (await api.client.post(f"{INGESTIONS}/{ingestion_id}/runs/{run_id}/retry")).json()
    assert not retried["queued"]
    order = await RunDefinitions(api.database, api.box).of(UUID(retried["run_id"]))
    assert (ANY_AGE, run_id) == (order.scope, str(order.retry_of))
