"""Errors become answers in one shape; secrets and stack traces never do."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from libs.common.errors import (
    AutoloaderError,
    Conflict,
    Fenced,
    Invalid,
    NotFound,
    Permanent,
    Temporary,
    Unavailable,
)
from services.api import errors
from services.api.requests import BODY_BYTES_MAX, RequestScope

pytestmark = pytest.mark.asyncio

RAISED: dict[str, Exception] = {
    "not-found": NotFound("no such thing", code="unknown_thing", hint="list them"),
    "conflict": Conflict("busy", code="busy", hint="wait"),
    "invalid": Invalid("bad", code="bad", hint="do it well"),
    "unavailable": Unavailable("away", code="away", hint="wait", retry_after_s=42),
    "temporary": Temporary("Postgres is away", code="database_unavailable", hint="start it"),
    "unreadable": Permanent("cannot be decrypted", code="secret_unreadable", hint="store them again"),
    "permanent": Permanent("broken", code="broken"),
    "fenced": Fenced("the batch"),
    "bug": RuntimeError("topsecret detail of a bug"),
}


class Body(BaseModel):
    secret: int


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(RequestScope)

    @app.get("/raise/{name}")
    async def raise_it(name: str) -> None:
        raise RAISED[name]

    @app.post("/body")
    async def body(sent: Body) -> int:
        return sent.secret

    shared = APIRouter(prefix="/shared")

    @shared.get("/{number}")
    @shared.put("/{number}")
    async def shared_path(number: int) -> int:
        return number

    app.include_router(shared)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "retry_after"),
    [
        ("not-found", 404, None),
        ("conflict", 409, None),
        ("invalid", 422, None),
        ("unavailable", 503, "42"),
        ("temporary", 503, "5"),
        ("unreadable", 409, None),
        ("permanent", 500, None),
        ("fenced", 500, None),
    ],
)
async def test_our_errors_keep_their_words(
    client: httpx.AsyncClient, name: str, status: int, retry_after: str | None
) -> None:
    """Message, code and hint reach the client, under the status that fits."""
    raised = RAISED[name]
    assert isinstance(raised, AutoloaderError)
    answer = await client.get(f"/raise/{name}")
    assert status == answer.status_code
    assert retry_after == answer.headers.get("Retry-After")
    assert {
        "detail": raised.message,
        "code": raised.code,
        "hint": raised.hint,
        "request_id": answer.headers["X-Request-ID"],
    } == answer.json()


async def test_a_bug_shows_an_id_and_nothing_else(client: httpx.AsyncClient) -> None:
    """The traceback is in the log, under that id."""
    answer = await client.get("/raise/bug", headers={"X-Request-ID": "find-me"})
    assert answer.status_code == 500
    assert "find-me" == answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert answer.json()["code"] == "internal_error"
    for word in ("topsecret", "Traceback", "RuntimeError", ".py"):
        assert word not in answer.text


async def test_validation_errors_say_where_and_what_but_not_which_value(client: httpx.AsyncClient) -> None:
    """FastAPI's list, without the input."""
    answer = await client.post("/body", json={"secret": "topsecret"})
    body = answer.json()
    assert answer.status_code == 422
    assert body["code"] == "invalid_request"
    assert [{k: v for k, v in e.items() if k != "msg"} for e in body["detail"]] == [
        {"type": "int_parsing", "loc": ["body", "secret"]}
    ]
    assert body["hint"].startswith("secret: ")
    assert "topsecret" not in answer.text


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 422),
        (b"", 422),
        (b"[]", 422),
        (b'{"secret": {"\\ud800": 1}}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"secret": NaN}', 422),
        (b'{"secret": "\xff"}', 400),
        (b"[" * 200_000, 400),
    ],
)
async def test_any_body_gets_an_answer_in_our_shape(client: httpx.AsyncClient, content: bytes, status: int) -> None:
    """Broken, empty, not UTF-8, deeply nested: never a 500."""
    answer = await client.post("/body", content=content, headers={"Content-Type": "application/json"})
    assert status == answer.status_code
    assert {"detail", "code", "hint", "request_id"} == answer.json().keys()
    assert answer.json()["hint"]


async def test_a_body_beyond_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    """Whether its length is declared or not."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (BODY_BYTES_MAX // 10)

    contents: list[Any] = [b" " * (BODY_BYTES_MAX + 1), chunks()]
    for content in contents:
        answer = await client.post("/body", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/body", 405)])
async def test_what_no_route_answers(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    """Unknown paths and methods look like every other error."""
    answer = await client.request(method, path)
    assert status == answer.status_code
    assert all(answer.json()[field] for field in ("detail", "code", "hint", "request_id"))


async def test_a_wrong_method_is_answered_with_all_that_are_right(client: httpx.AsyncClient) -> None:
    """Also where several routes share a path."""
    answer = await client.delete("/shared/7")
    assert (405, "GET, PUT") == (answer.status_code, answer.headers["Allow"])


@pytest.mark.parametrize("given", ["a b", "ü", "x" * 129, 'a"b'])
async def test_a_request_id_that_could_break_a_log_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    """It goes into headers and logs; a good one is taken over."""
    answer = await client.get("/nowhere", headers={b"X-Request-ID": given.encode()})
    assert answer.headers["X-Request-ID"] not in ("", given)
    good = await client.get("/nowhere", headers={"X-Request-ID": "trace-1:2.3_4"})
    assert good.headers["X-Request-ID"] == "trace-1:2.3_4"
