"""The outbox relay on a real Postgres: order, outages, competitors and crashes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from libs.common import failpoints, metrics
from libs.common.errors import Permanent, Temporary
from libs.common.failpoints import FailpointReached
from libs.common.messaging.ports import NO_HEADERS, Outgoing
from libs.common.storage.control import outbox
from libs.common.storage.engine import Database
from libs.common.storage.relay import OutboxRelay
from tests.support.databases import fresh_database
from tests.support.eventually import eventually
from tests.support.memory_broker import MemoryBroker

pytestmark = pytest.mark.contract

LONG = timedelta(minutes=5)  # a poll that never comes: only pokes wake


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with fresh_database() as made:
        yield made


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    for topic in ("t", "u", "t.dlq"):
        made.create_topic(topic, 2)
    return made


async def put(database: Database, *values: str, topic: str = "t", key: str = "k") -> None:
    """Rows, in one transaction."""
    async with database.begin() as connection:
        for value in values:
            await connection.execute(outbox.insert().values(topic=topic, key=key, value=value.encode()))


async def left(database: Database) -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(outbox))).scalar_one()


async def emptied(database: Database) -> bool:
    return await left(database) == 0


def values(broker: MemoryBroker, topic: str = "t") -> list[str]:
    return [record.value.decode() for record in broker.records(topic)]


class Running:
    """A relay at work: ``async with Running(relay):``."""

    def __init__(self, *relays: OutboxRelay) -> None:
        self._relays = relays

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(relay.run()) for relay in self._relays]

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_rows_leave_in_order_and_are_gone_afterwards(database: Database, broker: MemoryBroker) -> None:
    """Over several batches."""
    await put(database, *(str(n) for n in range(25)))
    relay = OutboxRelay(database, broker.publisher(), batch_size=10)
    async with Running(relay):
        await eventually(lambda: 25 == len(values(broker)))
        await eventually(lambda: emptied(database))
    assert [str(n) for n in range(25)] == values(broker)


async def test_a_poke_wakes_it_at_once(database: Database, broker: MemoryBroker) -> None:
    """A message is on its way within a moment of the writer's commit."""
    relay = OutboxRelay(database, broker.publisher(), poll_interval=LONG)
    async with Running(relay):
        await put(database, "warm")
        relay.poke()
        await eventually(lambda: ["warm"] == values(broker))
        began = asyncio.get_running_loop().time()
        await put(database, "now")
        relay.poke()
        await eventually(lambda: "now" in values(broker))
        assert asyncio.get_running_loop().time() - began < 0.25


async def test_a_row_whose_writer_died_is_found_by_polling(database: Database, broker: MemoryBroker) -> None:
    """Nobody poked."""
    relay = OutboxRelay(database, broker.publisher(), poll_interval=timedelta(milliseconds=20))
    async with Running(relay):
        await put(database, "orphan")
        await eventually(lambda: ["orphan"] == values(broker))


async def test_a_row_of_an_open_transaction_is_not_sent(database: Database, broker: MemoryBroker) -> None:
    """Nobody hears of what may still roll back."""
    relay = OutboxRelay(database, broker.publisher())
    async with database.begin() as connection:
        await connection.execute(outbox.insert().values(topic="t", key="k", value=b"maybe"))
        assert 0 == await relay.round()
    assert 1 == await relay.round()


async def test_an_absent_broker_is_told_and_waited_for(database: Database, broker: MemoryBroker) -> None:
    """Rows stay, the problem is visible, and all is sent afterwards, in order (F25)."""
    broker.away = True
    relay = OutboxRelay(database, broker.publisher(), poll_interval=timedelta(milliseconds=20))
    async with Running(relay):
        await put(database, "1", "2")
        await eventually(lambda: relay.problem)
        assert "the broker is away" == relay.problem
        await put(database, "3")
        assert 3 == await left(database)
        broker.away = False
        await eventually(lambda: relay.problem is None)
        await eventually(lambda: ["1", "2", "3"] == values(broker))


async def test_a_missing_topic_does_not_hold_up_the_others(database: Database, broker: MemoryBroker) -> None:
    """Its rows wait until somebody makes it."""
    await put(database, "1", topic="missing")
    await put(database, "2", topic="u")
    relay = OutboxRelay(database, broker.publisher())
    with pytest.raises(Temporary, match="missing"):
        await relay.round()
    assert (["2"], 1) == (values(broker, "u"), await left(database))
    broker.create_topic("missing", 1)
    assert 1 == await relay.round()
    assert ["1"] == values(broker, "missing")


async def test_a_row_that_can_never_be_sent_becomes_a_dead_letter(database: Database, broker: MemoryBroker) -> None:
    """It must not stop everything behind it."""
    await put(database, "1", "x" * 2**21, "3")
    relay = OutboxRelay(database, broker.publisher())
    assert 3 == await relay.round()
    assert ["1", "3"] == values(broker)
    [letter] = broker.records("t.dlq")
    assert b"message_too_large" == letter.headers["code"]


async def test_a_crash_between_send_and_delete_sends_twice_and_loses_nothing(
    database: Database, broker: MemoryBroker
) -> None:
    """The crash order: consumers deduplicate, nobody could invent a lost event."""
    await put(database, "1", "2")
    relay = OutboxRelay(database, broker.publisher())
    failpoints.arm("relay.after_send:raise")
    try:
        with pytest.raises(FailpointReached):
            await relay.round()
    finally:
        failpoints.arm(None)
    assert 2 == await left(database)
    await relay.round()
    assert ["1", "2", "1", "2"] == values(broker)
    assert 0 == await left(database)


class SlowPublisher:
    """Takes its time, and notes who sends at the same moment."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._inner = broker.publisher()
        self.sending = 0
        self.most_at_once = 0

    async def send(self, topic: str, *, key: str, value: bytes, headers: Mapping[str, str] = NO_HEADERS) -> None:
        await self.send_many([Outgoing(topic, key, value, headers)])

    async def send_many(self, messages: Sequence[Outgoing]) -> None:
        self.sending += 1
        self.most_at_once = max(self.most_at_once, self.sending)
        await asyncio.sleep(0.01)
        await self._inner.send_many(messages)
        self.sending -= 1


async def test_relays_of_several_processes_send_each_row_once_and_in_order(
    database: Database, broker: MemoryBroker
) -> None:
    """One sends at a time; a writer pokes its own, whichever that is."""
    publisher = SlowPublisher(broker)
    relays = [OutboxRelay(database, publisher, batch_size=3, poll_interval=LONG) for _ in range(3)]
    async with Running(*relays):
        for number in range(60):
            await put(database, str(number))
            relays[number % 3].poke()
        await eventually(lambda: 60 == len(values(broker)), 20)
    assert [str(n) for n in range(60)] == values(broker)
    assert 1 == publisher.most_at_once


async def test_an_absent_database_is_told_and_waited_for(broker: MemoryBroker) -> None:
    """The relay outlives it."""
    away = Database("postgresql://u:p@localhost:1/x", connect_timeout_s=1)
    relay = OutboxRelay(away, broker.publisher())
    async with Running(relay):
        await eventually(lambda: relay.problem)
        assert "Postgres is not available" in str(relay.problem)
    await away.close()


async def test_a_refusal_that_is_nobodys_fault_keeps_the_rows(database: Database, broker: MemoryBroker) -> None:
    """Missing rights may be given back; until then nothing is thrown away."""

    class Forbidden(SlowPublisher):
        async def send_many(self, messages: Sequence[Outgoing]) -> None:
            raise Permanent("no rights on t", code="kafka_forbidden")

    await put(database, "1")
    relay = OutboxRelay(database, Forbidden(broker), poll_interval=timedelta(milliseconds=20))
    async with Running(relay):
        await eventually(lambda: "no rights on t" == relay.problem)
    assert 1 == await left(database)


async def test_the_oldest_row_is_measured(database: Database, broker: MemoryBroker) -> None:
    """Age is known to the operator."""
    async with database.begin() as connection:
        then = datetime.now(UTC) - timedelta(seconds=90)
        await connection.execute(outbox.insert().values(topic="t", key="k", value=b"old", created_at=then))
    await OutboxRelay(database, broker.publisher()).round()
    assert 90 <= metrics.OUTBOX_LAG_SECONDS._value.get() < 100
