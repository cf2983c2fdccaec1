"""From a writer's transaction to a consumer, on real parts: Postgres, the relay, a broker, the loop's consumer."""

import asyncio
from datetime import timedelta

import pytest

from libs.common.storage.control import outbox
from libs.common.storage.relay import OutboxRelay
from tests.contract.messaging.conftest import Broker
from tests.support.databases import fresh_database
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract


async def test_rows_of_several_writers_arrive_once_and_in_each_keys_order(broker: Broker) -> None:
    """Two relays compete, as in two processes; poked at random, with no poll to help."""
    await broker.create_topic(broker.topic, 3)
    async with fresh_database() as database:
        poll = timedelta(minutes=5)
        relays = [OutboxRelay(database, await broker.publisher(), batch_size=7, poll_interval=poll) for _ in range(2)]
        running = [asyncio.create_task(relay.run()) for relay in relays]

        async def write(key: str) -> None:
            for number in range(40):
                async with database.begin() as connection:
                    row = {"topic": broker.topic, "key": key, "value": str(number).encode()}
                    await connection.execute(outbox.insert().values(row))
                relays[number % 2].poke()

        await asyncio.gather(*(write(f"k{n}") for n in range(4)))

        async def all_there() -> bool:
            return len(await broker.records(broker.topic)) >= 160

        await eventually(all_there, 15)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    records = await broker.records(broker.topic)
    for key in range(4):
        assert [str(n).encode() for n in range(40)] == [r.value for r in records if r.key == f"k{key}".encode()]
