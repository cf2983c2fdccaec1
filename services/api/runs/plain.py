"""Plain requests for runs: of an ingestion that nothing is going on with, so that a run of it begins at once.

Most requests are plain, and those that come while a transaction is under way share the next one: it takes the same few
statements however many there are (``plain_rows.py``). All others are left to a transaction of their own
(``requests.py``), which may wait, joins runs, repeats answers, and knows what to say to whom it refuses.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import new_run_id
from libs.common.messaging.together import Together
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer
from services.api.runs import plain_rows
from services.api.runs.beginning import Born, answer_of
from services.api.runs.plain_rows import Asked, Begun

AT_ONCE = 100
"""Requests in one transaction, at most: enough to make its round trips cheap, and some hundredths of a second of
work, for which their ingestions are locked."""


class PlainRequests:
    """Takes requests of all tenants; there is one transaction at a time."""

    def __init__(self, database: Database, clusters: Clusters, outbox: Outbox) -> None:
        self._database = database
        self._clusters = clusters
        self._outbox = outbox
        self._together = Together[Asked, Answer | None](self._begin, at_most=AT_ONCE)

    async def __call__(self, asked: Asked) -> Answer | None:
        """202 with a new run, which is committed and begins at once. None: the request is not plain, or it cannot be
        told without waiting whether it is; nothing was stored.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        return await self._together(asked)

    async def _begin(self, asked: Sequence[Asked]) -> Sequence[Answer | None]:
        async with self._database.begin() as connection:
            begun = await self._begun(connection, first_of_each(asked))
            if begun:
                await plain_rows.store(connection, self._outbox, begun)
        answers = {each.asked: each.answer for each in begun}
        return [answers.get(one) for one in asked]

    async def _begun(self, connection: AsyncConnection, asked: Sequence[Asked]) -> Sequence[Begun]:
        """The runs that may be stored. What that was decided by stays as it is until the transaction ends."""
        locked = await plain_rows.lock(connection, asked)
        ready = [one for one in asked if _is_ready(locked.get(one.ingestion_id), self._clusters)]
        if not ready:
            return []
        free = await plain_rows.free_among(connection, [one.ingestion_id for one in ready])
        begun = [
            _begun(one, locked[one.ingestion_id], now)
            for one in ready
            if (now := free.get(one.ingestion_id)) is not None
        ]
        return await plain_rows.answer_once(connection, begun)


def first_of_each(asked: Iterable[Asked]) -> list[Asked]:
    """The first request of each ingestion and of each key: what becomes of another one depends on it."""
    ingestions: set[UUID] = set()
    keys: set[tuple[str, str]] = set()
    first = []
    for one in asked:
        key = None if one.once is None else (one.caller.tenant_id, one.once.key)
        if one.ingestion_id not in ingestions and key not in keys:
            first.append(one)
        ingestions.add(one.ingestion_id)
        if key is not None:
            keys.add(key)
    return first


def _is_ready(locked: Row[Any] | None, clusters: Clusters) -> bool:
    """Whether ingestion and key are ours until the transaction ends, and there is a cluster to load with."""
    return locked is not None and locked.has_key and clusters.known(locked.cluster_id) is not None


def _begun(asked: Asked, locked: Row[Any], now: datetime) -> Begun:
    born = Born(new_run_id(), locked.id, locked.tenant_id, locked.generation, locked.table)
    return Begun(asked, born, now, answer_of(born.run_id, queued=False))
