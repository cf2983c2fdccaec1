"""Notifications of a queue end as hints in the ledger, and only then leave the queue."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from libs.common import failpoints
from tests.integration.scanner.harness import BUCKET, Harness
from tests.integration.scanner.queue_world import TOPIC, World, record
from tests.support.crash import Crash
from tests.support.eventually import eventually
from tests.support.moto_sqs import MotoSqs

pytestmark = pytest.mark.integration


def by_event_bridge(key: str) -> str:
    detail = {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 7, "etag": "x"}}
    return json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})


def by_sns(message: str) -> str:
    return json.dumps({"Type": "Notification", "MessageId": str(uuid.uuid4()), "Message": message})


@pytest.fixture
async def world(harness: Harness, moto: MotoSqs) -> World:
    made = World(harness, moto)
    made.create()
    await harness.new_run()
    await made.follow()
    return made


async def test_every_envelope_ends_in_the_ledger_and_leaves_the_queue(world: World) -> None:
    """Decoded once; what is foreign, or no news, leaves it as well."""
    world.send(record("in/a+b.json"), by_sns(record("in/c.json")), by_event_bridge("in/d+e.json"))
    world.send(by_sns(by_event_bridge("in/f.json")), record("elsewhere/a.json"))
    world.send(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}))
    async with world.scanner():
        await eventually(world.is_empty, 20)
    assert ["in/a b.json", "in/c.json", "in/d+e.json", "in/f.json"] == await world.hinted()
    assert [] == world.broker.records(f"{TOPIC}.dlq")


async def test_a_scanner_that_dies_before_it_deletes_leaves_the_messages_to_the_next(world: World) -> None:
    """The ledger has them already; taking them twice changes nothing."""
    world.send(record("in/a.json"), record("in/b.json"))
    failpoints.arm("queue.after_take:raise", error=lambda _: Crash())
    async with world.scanner(hold_s=2) as running:
        await asyncio.wait([running], timeout=20)
        assert running.done()
        assert isinstance(running.exception(), BaseExceptionGroup)
    failpoints.arm(None)
    taken = await world.hinted()
    assert taken
    assert not await world.is_empty()
    async with world.scanner():
        await eventually(world.is_empty, 20)
    assert ["in/a.json", "in/b.json"] == await world.hinted()


async def test_poison_is_set_aside_and_holds_up_nothing(world: World) -> None:
    world.send("all is well", record("in/a.json"), json.dumps({"Records": [{}]}))
    async with world.scanner():
        await eventually(world.is_empty, 20)
    assert ["in/a.json"] == await world.hinted()
    letters: list[Any] = world.broker.records(f"{TOPIC}.dlq")
    assert {b"all is well", b'{"Records": [{}]}'} == {letter.value for letter in letters}
    assert {b"not_a_notification"} == {letter.headers["code"] for letter in letters}


async def test_many_messages_are_taken_in_by_several_receivers(world: World) -> None:
    """Also those that are there twice."""
    keys = [f"in/{number:03}.json" for number in range(40)]
    world.send(*[record(key) for key in [*keys, *keys]])
    async with world.scanner():
        await eventually(world.is_empty, 60)
    assert keys == await world.hinted()
