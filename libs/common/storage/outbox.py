"""Write and announce together: an event is a row in the same transaction as the change that it tells of.

If the transaction rolls back, nobody hears of it; if it commits, the relay (``relay.py``) sends it, maybe twice.
Rows of one key are sent in id order, so a writer that wants an order between its events takes the lock that
orders them (the run's row, see ``ledger/run_log.py``) before it calls ``enqueue``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ARRAY, LargeBinary, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import Clock, utc_now
from libs.common.contracts.codec import encode
from libs.common.contracts.events import Message
from libs.common.contracts.topics import DEFAULT_PREFIX, Topic
from libs.common.storage.control import outbox
from libs.common.storage.engine import after_commit

_ADD = outbox.insert()

ENQUEUED = (
    outbox.insert()
    .from_select(
        ["topic", "key", "value"],
        select(
            func.unnest(bindparam("outbox_topics", type_=ARRAY(Text))),
            func.unnest(bindparam("outbox_keys", type_=ARRAY(Text))),
            func.unnest(bindparam("outbox_values", type_=ARRAY(LargeBinary))),
        ),
    )
    .cte("enqueued")
)
"""Enqueues along with another statement, for ``add_cte``: one round trip less. ``Outbox.along`` has its parameters."""


class Outbox:
    """Enqueues messages of one writer. ``source`` names it, as in ``autoloader/scanner``."""

    def __init__(
        self,
        *,
        source: str,
        topic_prefix: str = DEFAULT_PREFIX,
        wake: Callable[[], None] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """``wake`` is called after every commit that enqueued something: the relay's ``poke``."""
        self._source = source
        self._prefix = topic_prefix
        self._wake = wake
        self._clock = clock

    async def enqueue(self, connection: AsyncConnection, topic: Topic, message: Message) -> None:
        """Adds ``message`` to the transaction of ``connection``; its key is the topic's key field."""
        await self.enqueue_all(connection, [(topic, message)])

    async def enqueue_all(self, connection: AsyncConnection, messages: Sequence[tuple[Topic, Message]]) -> None:
        """As ``enqueue``, for many messages in one statement; they leave in the order given."""
        await connection.execute(_ADD, [self._row(topic, message) for topic, message in messages])
        self._wake_after(connection)

    def along(self, connection: AsyncConnection, messages: Sequence[tuple[Topic, Message]]) -> dict[str, Any]:
        """As ``enqueue_all``, by a statement with ``ENQUEUED`` in it, which the caller executes with these."""
        rows = [self._row(topic, message) for topic, message in messages]
        self._wake_after(connection)
        return {f"outbox_{column}s": [row[column] for row in rows] for column in ("topic", "key", "value")}

    def _row(self, topic: Topic, message: Message) -> dict[str, Any]:
        return {
            "topic": topic.name(self._prefix),
            "key": str(getattr(message, topic.key)),
            "value": encode(message, source=self._source, time=self._clock()),
        }

    async def enqueue_foreign(self, connection: AsyncConnection, topic: Topic, *, key: str, value: bytes) -> None:
        """Adds a message that others wrote, as it is, to the transaction of ``connection``."""
        await connection.execute(_ADD, {"topic": topic.name(self._prefix), "key": key, "value": value})
        self._wake_after(connection)

    def _wake_after(self, connection: AsyncConnection) -> None:
        if self._wake is not None:
            after_commit(connection, self._wake)
