"""``Idempotency-Key``: a POST that is repeated has its effect once and gets the first answer again.

The answer is stored in the transaction of the effect, under a lock on the key: two equal requests at once run one
after the other, and the second finds the answer of the first. A request that was refused left nothing and may be
tried again. Answers are kept for a week (``runs/sweeper.py`` forgets them).
"""

import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.errors import Invalid
from libs.common.storage.control import idempotency
from services.api.caller import Caller

KEY_CHARS_MAX = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST is answered with."""

    status: int
    body: dict[str, Any]
    replayed: bool = False

    def response(self, headers: dict[str, str] | None = None) -> JSONResponse:
        replayed = {"Idempotency-Replayed": "true"} if self.replayed else {}
        return JSONResponse(self.body, status_code=self.status, headers={**(headers or {}), **replayed})


@dataclass(frozen=True, slots=True)
class Once:
    """The key of a request, and what the key stands for."""

    key: str
    digest: bytes


async def once_of(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=KEY_CHARS_MAX,
            description="Any unique text. Repeating the request with it has no further effect and gets the same "
            "answer; using it for another request is refused.",
        ),
    ] = None,
) -> Once | None:
    """A FastAPI dependency; None without the header."""
    if idempotency_key is None:
        return None
    return Once(idempotency_key, digest_of(request.method, request.url.path, await request.body()))


def digest_of(method: str, path: str, body: bytes) -> bytes:
    """What makes two requests the same: method, path, and the body as JSON, however it is spaced or ordered."""
    with contextlib.suppress(ValueError, RecursionError):  # not JSON: its bytes have to do
        body = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


async def at_most_once(
    connection: AsyncConnection, caller: Caller, once: Once | None, effect: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Runs ``effect`` unless it already ran under this key; both in the transaction of ``connection``.

    Raises:
        Invalid: code ``idempotency_key_reused``.
    """
    if once is None:
        return await effect()
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"idempotency\n{caller.tenant_id}\n{once.key}"},
    )
    found = await _find(connection, caller, once)
    if found is not None:
        return found
    answer = await effect()
    await connection.execute(
        idempotency.insert().values(
            tenant_id=caller.tenant_id,
            key=once.key,
            request_digest=once.digest,
            status=answer.status,
            body=answer.body,
            created_at=func.now(),
        )
    )
    return answer


async def _find(connection: AsyncConnection, caller: Caller, once: Once) -> Answer | None:
    t = idempotency.c
    query = select(t.request_digest, t.status, t.body).where(t.tenant_id == caller.tenant_id, t.key == once.key)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.request_digest != once.digest:
        raise Invalid(
            f"the Idempotency-Key {once.key!r} was used for another request",
            code="idempotency_key_reused",
            hint="use a new key for a new request; repeat a request with the very same body",
        )
    return Answer(row.status, row.body, replayed=True)
