"""``control.outbox`` in memory, as far as the relay's SQL can tell, so that the real relay runs in the model."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Delete, Executable, Select

from libs.common.contracts.codec import encode
from libs.common.contracts.events import Message
from libs.common.contracts.topics import CATALOGUE, Topic
from libs.common.storage.control import outbox
from tests.support.memory_ledger import MemoryLedger


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    topic: str
    key: str
    value: bytes
    created_at: datetime


class MemoryOutbox:
    """A ``Database`` for ``OutboxRelay``. Its rows are the messages that ledger transactions enqueued."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._rows: dict[int, Row] = {}
        self._seen = 0

    @property
    def rows(self) -> list[Row]:
        """What was enqueued and not deleted, oldest first."""
        for number, message in enumerate(self._ledger.events[self._seen :], start=self._seen):
            self._rows[number] = _row(number, message)
        self._seen = len(self._ledger.events)
        return list(self._rows.values())

    @asynccontextmanager
    async def begin(self) -> AsyncIterator["_Connection"]:
        """Rows that the block deletes are gone when it ends, and are there again if it dies."""
        connection = _Connection(self.rows)
        yield connection
        for number in connection.deleted:
            del self._rows[number]


class _Connection:
    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.deleted: list[int] = []

    async def execute(self, statement: Executable, values: Mapping[str, Any] | None = None) -> "_Result":
        if isinstance(statement, Delete):
            assert values is not None
            self.deleted = values["ids"]
            return _Result(())
        if isinstance(statement, Select) and outbox in statement.columns_clause_froms:
            return _Result(self._rows)
        return _Result(())  # the relays' lock, and its timeout: in a story one relay moves at a time


@dataclass(frozen=True, slots=True)
class _Result:
    rows: Sequence[Row]

    def all(self) -> Sequence[Row]:
        return self.rows


def _row(number: int, message: Message) -> Row:
    topic = topic_of(message)
    key: Any = getattr(message, topic.key)
    now = datetime.now(UTC)
    return Row(number, topic.name(), str(key), encode(message, source="autoloader/model", time=now), now)


def topic_of(message: Message) -> Topic:
    """Where the catalogue has it."""
    return next(topic for topic in CATALOGUE if type(message) in topic.messages)
