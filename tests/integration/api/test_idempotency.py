"""A POST that is repeated has its effect once."""

import asyncio
from uuid import uuid4

import pytest

from tests.integration.api.harness import INGESTIONS, WITH_CREDENTIALS, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio


async def test_a_repeated_post_creates_one_ingestion(api: ApiUnderTest) -> None:
    """Same key and body: the first answer again. Another body: 422. Without a key: another one."""
    key = {"Idempotency-Key": uuid4().hex}
    first = await api.client.post(INGESTIONS, json=definition(**WITH_CREDENTIALS), headers=key)
    again = await api.client.post(INGESTIONS, json=definition(**WITH_CREDENTIALS), headers=key)
    other = await api.client.post(INGESTIONS, json=definition(name="Other"), headers=key)
    assert (201, first.json()) == (again.status_code, again.json())
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await api.client.get(INGESTIONS)).headers["X-Total-Count"] == "1"


async def test_a_key_belongs_to_its_tenant(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """Others may use the same word."""
    key = {"Idempotency-Key": uuid4().hex}
    mine = await api.client.post(INGESTIONS, json=definition(), headers=key)
    theirs = await neighbour.client.post(INGESTIONS, json=definition(), headers=key)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_equal_requests_at_once_create_one_ingestion(api: ApiUnderTest) -> None:
    """A client that retries too early does no harm."""
    key = {"Idempotency-Key": uuid4().hex}
    answers = await asyncio.gather(*(api.client.post(INGESTIONS, json=definition(), headers=key) for _ in range(8)))
    assert {201} == {answer.status_code for answer in answers}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await api.client.get(INGESTIONS)).headers["X-Total-Count"] == "1"


async def test_a_refused_request_uses_up_no_key(api: ApiUnderTest) -> None:
    """It left nothing behind, so the corrected one may take the same key."""
    key = {"Idempotency-Key": uuid4().hex}
    refused = await api.client.post(INGESTIONS, json=definition(cluster_id="nowhere"), headers=key)
    corrected = await api.client.post(INGESTIONS, json=definition(), headers=key)
    assert (refused.status_code, corrected.status_code) == (422, 201)
