"""Files that should come: who does not come is told once, and so is who comes late."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from libs.common.contracts.events import ExpectedFileArrived, ExpectedFileMissing
from tests.integration.api.harness import INGESTIONS, ApiUnderTest, definition

pytestmark = [pytest.mark.asyncio, pytest.mark.integration]
RULE = {"name": "daily", "pattern": "dt=%Y-%m-%d/*.json", "grace_s": 0, "at_least": 2}
BUCKET = "landing"
WEBHOOKS = "/api/v1/webhooks"


async def expecting(api: ApiUnderTest, *rules: dict[str, Any]) -> str:
    """An ingestion with these rules; its bucket is there."""
    if BUCKET not in api.objects.buckets:
        api.objects.create_bucket(BUCKET)
    created = await api.create(quality={"expected_arrivals": list(rules)})
    return str(created["id"])


async def missed(api: ApiUnderTest, ingestion_id: str) -> list[dict[str, Any]]:
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/completeness")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["missed"]
    return found


async def facts(api: ApiUnderTest, ingestion_id: str) -> list[ExpectedFileMissing | ExpectedFileArrived]:
    messages = await api.commands(ingestion_id)
    return [m for m in messages if isinstance(m, ExpectedFileMissing | ExpectedFileArrived)]


async def listening(api: ApiUnderTest, event_types: list[str]) -> str:
    """A webhook."""
    answer = await api.client.post(WEBHOOKS, json={"url": "https://example.com/hook", "event_types": event_types})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def delivered(api: ApiUnderTest, hook: str) -> list[str]:
    """What it is told, newest first."""
    answer = await api.client.get(f"{WEBHOOKS}/{hook}/deliveries")
    return [each["event_type"] for each in answer.json()]


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("autoloader_expected_files_total", {"outcome": outcome}) or 0


async def test_files_that_did_not_come_are_told_once_and_so_is_their_coming(api: ApiUnderTest) -> None:
    """The latest period that is over is judged at once. Three processes look, again and again."""
    before = counted("missing"), counted("late")
    ingestion_id = await expecting(api, RULE)
    hook = await listening(api, ["file.expected_missing", "file.expected_arrived"])
    for _ in range(2):
        await asyncio.gather(*(api.expectations.look() for _ in range(3)))
    [told] = await facts(api, ingestion_id)
    assert isinstance(told, ExpectedFileMissing)
    assert ("daily", 2, 0) == (told.rule, told.expected, told.found)
    assert 86_400 == (told.ends - told.begins).total_seconds()
    assert f"dt={told.begins:%Y-%m-%d}/*.json" == told.pattern
    [shown] = await missed(api, ingestion_id)
    assert (told.pattern, None) == (shown["pattern"], shown["arrived_at"])

    prefix = f"flights/dt={told.begins:%Y-%m-%d}/"
    api.objects.put(BUCKET, f"{prefix}a.json", b"{}\n")
    api.objects.put(BUCKET, f"{prefix}not.csv", b"x")
    await api.expectations.look()
    assert [told] == await facts(api, ingestion_id), "one of two is not enough"
    api.objects.put(BUCKET, f"{prefix}b.json", b"{}\n")
    for _ in range(2):
        await asyncio.gather(*(api.expectations.look() for _ in range(3)))
    [_, late] = await facts(api, ingestion_id)
    assert isinstance(late, ExpectedFileArrived)
    assert (told.pattern, told.occurred_at) == (late.pattern, late.missed_at)
    [shown] = await missed(api, ingestion_id)
    assert (2, True) == (shown["found"], shown["arrived_at"] is not None)
    assert (1, 1) == (counted("missing") - before[0], counted("late") - before[1])
    assert ["file.expected_arrived", "file.expected_missing"] == await delivered(api, hook)


async def test_what_came_in_time_is_nothing_to_tell(api: ApiUnderTest) -> None:
    """Also a marker that no run would load."""
    marker = {"name": "marker", "pattern": "done-%Y-%m-%d/_SUCCESS", "grace_s": 0}
    ingestion_id = await expecting(api, marker)
    async with api.database.read() as connection:
        day = (await connection.execute(text("SELECT (now() - interval '1 day')::date"))).scalar_one()
    api.objects.put(BUCKET, f"flights/done-{day}/_SUCCESS", b"")
    await api.expectations.look()
    assert [] == await missed(api, ingestion_id)
    assert [] == await facts(api, ingestion_id)


async def test_a_store_that_cannot_be_asked_is_asked_again(api: ApiUnderTest) -> None:
    """Nothing is told meanwhile."""
    created = await api.create(source={"path": "s3://not-yet-there/flights/"}, quality={"expected_arrivals": [RULE]})
    await api.expectations.look()
    assert [] == await facts(api, created["id"])
    api.objects.create_bucket("not-yet-there")
    await api.expectations.look()
    assert 1 == len(await facts(api, created["id"]))


async def test_rules_that_cannot_be_meant_are_refused(api: ApiUnderTest) -> None:
    """And two of one name."""
    for rules, words in (
        ([{"name": "r", "pattern": "*.json"}], "before its first wildcard"),
        ([RULE, RULE], "two rules of one name"),
    ):
        body = definition(quality={"expected_arrivals": rules})
        answer = await api.client.post(INGESTIONS, json=body)
        assert 422 == answer.status_code
        assert words in answer.text


async def test_forgotten_ingestions_expect_nothing(api: ApiUnderTest) -> None:
    """Nobody wants to hear of them."""
    ingestion_id = await expecting(api, RULE)
    answer = await api.client.delete(f"{INGESTIONS}/{ingestion_id}")
    assert answer.status_code in (202, 204), answer.text
    await api.expectations.look()
    assert [] == await facts(api, ingestion_id)
