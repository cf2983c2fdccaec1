"""``Idempotency-Key``: a POST that is repeated has its effect once and gets the first answer again.

The key is taken and the answer stored in the transaction of the effect: two equal requests at once run one after the
other, since the second waits for the lock of the first, and finds its answer. A request that was refused left nothing
and may be tried again. Answers are kept for a week (``runs/sweeper.py`` forgets them).

Transactions of many requests (``runs/plain.py``) wait for nobody: a key whose lock another one has is none of theirs.
"""

import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.responses import JSONResponse
from sqlalchemy import ColumnElement, Text, bindparam, cast, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.errors import Invalid
from libs.common.ledger.arrays import Columns, arrays_of, given_rows
from libs.common.storage.control import idempotency
from services.api.caller import Caller

KEY_CHARS_MAX = 255

_COLUMNS = ("tenant_id", "key", "request_digest", "status", "body")

# Until the effect is there, in the same transaction; nobody else ever sees it.
_NO_ANSWER = {"status": 0, "body": {}}


def _number_of(tenant_id: ColumnElement[str], key: ColumnElement[str]) -> ColumnElement[int]:
    """Of the key's lock. Two keys may have the same one: they take turns then, that is all."""
    return func.hashtextextended(key, func.hashtextextended(tenant_id, 0))


_MINE = idempotency.c.tenant_id == bindparam("of_tenant"), idempotency.c.key == bindparam("of_key")
_ROW = {column: bindparam(column, type_=idempotency.c[column].type) for column in _COLUMNS}
# The row alone would do as a lock, but nobody can try for it without waiting.
_LOCKED = func.pg_advisory_xact_lock(_number_of(_ROW["tenant_id"], _ROW["key"])).alias("locked")
_TAKE = (
    insert(idempotency)
    .from_select(list(_ROW), select(*_ROW.values()).select_from(_LOCKED))
    .on_conflict_do_nothing()
    .returning(idempotency.c.key)
)
_FIND = select(idempotency.c.request_digest, idempotency.c.status, idempotency.c.body).where(*_MINE)
_ANSWER = update(idempotency).where(*_MINE).values(status=bindparam("the_status"), body=bindparam("the_body"))
_KEPT: Columns = {name: Text() if name == "body" else idempotency.c[name].type for name in _COLUMNS}
_given = given_rows("kept", _KEPT)
_values = [cast(column, JSONB) if column.name == "body" else column for column in _given.c]

_KEEP = (
    insert(idempotency)
    .from_select(list(_KEPT), select(*_values))
    .on_conflict_do_nothing()
    .returning(idempotency.c.tenant_id, idempotency.c.key)
)


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
        body = body and json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


def may_take(tenant_id: ColumnElement[str], key: ColumnElement[str]) -> ColumnElement[bool]:
    """Takes the lock of a key if nobody has it, and never waits. True without a key: there is nothing to lock."""
    return func.pg_try_advisory_xact_lock(_number_of(tenant_id, key)).is_not(False)  # null, if the key is


async def keep(connection: AsyncConnection, answers: Iterable[tuple[str, Once, Answer]]) -> set[tuple[str, str]]:
    """Stores what each tenant is answered under each key, unless there is an answer. Returns tenants and keys of those
    that were stored. All keys are locked, by a statement before this one, so this waits for nobody."""
    rows = [(tenant, once.key, once.digest, answer.status, json.dumps(answer.body)) for tenant, once, answer in answers]
    kept = await connection.execute(_KEEP, arrays_of("kept", _KEPT, rows)) if rows else ()
    return {(row.tenant_id, row.key) for row in kept}


async def at_most_once(
    connection: AsyncConnection, caller: Caller, once: Once | None, effect: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Runs ``effect`` unless it already ran under this key; both in the transaction of ``connection``.

    Raises:
        Invalid: code ``idempotency_key_reused``.
    """
    if once is None:
        return await effect()
    mine = {"of_tenant": caller.tenant_id, "of_key": once.key}
    row = {"tenant_id": caller.tenant_id, "key": once.key, "request_digest": once.digest, **_NO_ANSWER}
    if await connection.scalar(_TAKE, row) is None:  # whoever has it has committed: this waited for him
        return await _answered(connection, mine, once)
    answer = await effect()
    await connection.execute(_ANSWER, {**mine, "the_status": answer.status, "the_body": answer.body})
    return answer


async def _answered(connection: AsyncConnection, mine: dict[str, str], once: Once) -> Answer:
    row = (await connection.execute(_FIND, mine)).one()
    if row.request_digest != once.digest:
        raise Invalid(
            f"the Idempotency-Key {once.key!r} was used for another request",
            code="idempotency_key_reused",
            hint="use a new key for a new request; repeat a request with the very same body",
        )
    return Answer(row.status, row.body, replayed=True)
