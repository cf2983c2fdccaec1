"""Sends what the outbox holds. Every service process runs one relay; one of them sends at a time.

The crash order of a round: send, delete, commit. What if the process stops right after the send? The rows are still
there, so the next relay sends them again: consumers deduplicate by event id. The other order would lose events.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Row, bindparam, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common import metrics
from libs.common.errors import AutoloaderError, Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.logs import get_logger
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.messaging.outcome import backoff, jittered
from libs.common.messaging.ports import Incoming, Outgoing, Publisher
from libs.common.storage.control import outbox
from libs.common.storage.engine import Database

# One lock for the whole installation: rows of a key leave in id order only if no two relays send at once.
RELAY_LOCK = 0x4155544F  # "AUTO"
_LOCK_TIMEOUT = "10s"
_LOCK_NOT_AVAILABLE = "55P03"
_GATHER_S = 0.02
"""After a round that sent something, others wait so long for company: a round costs as much as several requests to the
API, however many rows it sends."""

_WAIT_BRIEFLY = text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
_TAKE_TURN = select(func.pg_advisory_xact_lock(RELAY_LOCK))
_OLDEST = select(outbox).order_by(outbox.c.id).limit(bindparam("batch_size")).with_for_update(skip_locked=True)
# One parameter, however many ids: the statement is prepared once.
_DELETE = delete(outbox).where(outbox.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
_log = get_logger(__name__)


class OutboxRelay:
    """Moves rows of ``control.outbox`` to the broker. ``problem`` says why it cannot, or is None."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        *,
        batch_size: int = 500,
        poll_interval: timedelta = timedelta(seconds=1),
    ) -> None:
        """``poll_interval``: how late a row may be found whose writer could not poke (it died, or runs elsewhere)."""
        self.problem: str | None = None
        self._database = database
        self._publisher = publisher
        self._dead_letters = DeadLetters(publisher)
        self._batch_size = batch_size
        self._poll_interval = poll_interval
        self._poked = asyncio.Event()
        self._random = Random()

    def poke(self) -> None:
        """There are new rows: look now. Called by writers after their commit."""
        self._poked.set()

    async def run(self) -> None:
        """Sends for ever; ends only by cancellation. Outages are waited for."""
        failures = 0
        while True:
            self._poked.clear()  # before the look: a poke that comes during a round starts another one
            try:
                sent = await self.round()
            except AutoloaderError as error:
                failures += 1
                self._troubled(error)
                await asyncio.sleep(jittered(backoff(failures), self._random).total_seconds())
                continue
            failures = 0
            self._well()
            if sent < self._batch_size:
                if sent:
                    await asyncio.sleep(_GATHER_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_interval.total_seconds()):
                        await self._poked.wait()

    async def round(self) -> int:
        """Sends one batch; returns how many rows left the outbox.

        Raises:
            Temporary: Postgres or the broker is away; nothing was deleted, except rows of topics that worked.
        """
        refused: AutoloaderError | None = None
        try:
            async with self._database.begin() as connection:
                await connection.execute(_WAIT_BRIEFLY)
                # Blocking on purpose. The loser of a race may have been poked for a row that the winner did not see
                # yet; if it gave up here, that row would wait for the next poll.
                await connection.execute(_TAKE_TURN)
                rows = (await connection.execute(_OLDEST, {"batch_size": self._batch_size})).all()
                sent, refused = await self._send(rows)
                failpoint("relay.after_send")
                await self._delete(connection, sent)
        except Temporary as error:
            if _is_lock_timeout(error):
                return 0  # another relay is at it, and it is slow: no problem of ours
            raise
        if refused is not None:
            raise refused
        return len(sent)

    async def _send(self, rows: Sequence[Row[Any]]) -> tuple[list[int], AutoloaderError | None]:
        """Sends the rows, topic by topic at once: a topic that is missing must not hold up the others.

        Returns the ids of the rows that may go, and why the others may not.
        """
        by_topic: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            by_topic[row.topic].append(row)
        answers = await asyncio.gather(*(self._send_topic(each) for each in by_topic.values()), return_exceptions=True)
        gone: list[int] = []
        refused: AutoloaderError | None = None
        for topic, answer in zip(by_topic, answers, strict=True):
            if isinstance(answer, AutoloaderError):
                refused = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                gone += [row.id for row in by_topic[topic]]
                metrics.OUTBOX_SENT.labels(topic=topic).inc(len(by_topic[topic]))
        if gone:
            age = datetime.now(UTC) - rows[0].created_at
            metrics.OUTBOX_LAG_SECONDS.set(max(0.0, age.total_seconds()))
            _log.debug("outbox.sent", rows=len(gone), oldest_ms=round(age.total_seconds() * 1000))
        return gone, refused

    async def _send_topic(self, rows: Sequence[Row[Any]]) -> None:
        try:
            await self._publisher.send_many([Outgoing(row.topic, row.key, row.value) for row in rows])
        except Permanent as error:
            if error.code != "message_too_large":
                raise
            await self._send_singly(rows)

    async def _send_singly(self, rows: Sequence[Row[Any]]) -> None:
        """One of the rows can never be sent (our bug). It becomes a dead letter, and the others go their way."""
        for row in rows:
            try:
                await self._publisher.send(row.topic, key=row.key, value=row.value)
            except Permanent as error:
                if error.code != "message_too_large":
                    raise
                _log.error("outbox.row_refused", topic=row.topic, key=row.key, id=row.id, problem=error.message)
                incoming = Incoming(row.topic, -1, row.id, row.key.encode(), row.value)
                await self._dead_letters.set_aside(incoming, code=error.code, reason=error.message, attempt=1)

    async def _delete(self, connection: AsyncConnection, ids: Sequence[int]) -> None:
        if ids:
            await connection.execute(_DELETE, {"ids": ids})

    def _troubled(self, error: AutoloaderError) -> None:
        if self.problem is None:
            _log.warning("outbox.stuck", code=error.code, problem=error.message, hint=error.hint)
        self.problem = error.message
        metrics.OUTBOX_PROBLEM.set(1)

    def _well(self) -> None:
        if self.problem is not None:
            _log.info("outbox.recovered")
        self.problem = None
        metrics.OUTBOX_PROBLEM.set(0)


def _is_lock_timeout(error: Temporary) -> bool:
    return getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) == _LOCK_NOT_AVAILABLE
