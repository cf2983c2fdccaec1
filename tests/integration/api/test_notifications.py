"""What buckets tell over HTTP: let in with the secret only, and on the topic's way before it is answered."""

import json
import uuid
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select

from libs.common.contracts.topics import FOREIGN_BYTES_MAX
from libs.common.storage.control import outbox
from tests.integration.api.harness import NOTIFICATION_SECRETS, ApiUnderTest

pytestmark = pytest.mark.integration

TELL = "/api/v1/notifications/s3"
NEW, OLD = ({"Authorization": f"Bearer {secret}"} for secret in NOTIFICATION_SECRETS)


def news() -> bytes:
    """Never twice the same."""
    about = {"bucket": {"name": "landing"}, "object": {"key": f"in%2F{uuid.uuid4()}.json", "size": 7}}
    return json.dumps({"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": about}]}).encode()


async def on_their_way(api: ApiUnderTest, body: bytes) -> list[tuple[str, bytes]]:
    rows = await api.rows(select(outbox.c.topic, outbox.c.value).where(outbox.c.value == body))
    return [(row.topic, row.value) for row in rows]


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("autoloader_http_notifications_total", {"outcome": outcome}) or 0


@pytest.mark.parametrize("bearer", [NEW, OLD])
async def test_what_is_told_with_the_secret_goes_to_the_scanners_as_it_is(
    api: ApiUnderTest, bearer: dict[str, str]
) -> None:
    body, pokes = news(), api.relay.pokes
    answer = await api.client.post(TELL, content=body, headers=bearer)
    assert (202, {"status": "accepted"}) == (answer.status_code, answer.json())
    assert [("autoloader.s3-notifications", body)] == await on_their_way(api, body)
    assert pokes + 1 == api.relay.pokes


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "no_notification_secret"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, 401, "no_notification_secret"),
        ({"Authorization": "Bearer forged"}, 403, "wrong_notification_secret"),
    ],
)
async def test_what_is_forged_is_refused_and_counted(
    api: ApiUnderTest, headers: dict[str, str], status: int, code: str
) -> None:
    body, before = news(), counted("forged")
    answer = await api.client.post(TELL, content=body, headers=headers)
    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert (status == 401) == ("WWW-Authenticate" in answer.headers)
    assert [] == await on_their_way(api, body)
    assert before + 1 == counted("forged")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b'{"x": "%s"}' % (b"y" * FOREIGN_BYTES_MAX), 413),
        (b"y" * 2 * FOREIGN_BYTES_MAX, 413),
    ],
    ids=["nothing", "broken", "no text", "deep", "list", "string", "too large for the topic", "too large"],
)
async def test_what_is_no_notification_is_refused(api: ApiUnderTest, body: bytes, status: int) -> None:
    answer = await api.client.post(TELL, content=body, headers=NEW)
    told: dict[str, Any] = answer.json()
    assert status == answer.status_code
    assert told["code"]
    assert told["hint"]
    assert [] == await on_their_way(api, body)


async def test_a_repeated_delivery_with_its_key_is_passed_on_once(api: ApiUnderTest) -> None:
    body = news()
    headers = {**NEW, "Idempotency-Key": uuid.uuid4().hex}
    answers: list[httpx.Response] = [await api.client.post(TELL, content=body, headers=headers) for _ in range(2)]
    assert [202, 202] == [answer.status_code for answer in answers]
    assert 1 == len(await on_their_way(api, body))
