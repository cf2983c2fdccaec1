"""Each test runs on the queue in memory and on SQS, which moto plays."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest

from services.scanner.notifications.sqs import SqsQueue
from services.scanner.ports import Queue
from tests.support.memory_queue import MemoryQueue
from tests.support.moto_sqs import ACCESS, REGION, MotoSqs, moto_sqs


@dataclass
class World:
    """A queue, and the hands of those who fill it."""

    queue: Queue
    send: Callable[[bytes], object]
    left: Callable[[], int]


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoSqs]:
    with moto_sqs() as server:
        yield server


@pytest.fixture(params=["memory", "sqs"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        memory = MemoryQueue()
        yield World(memory, memory.send, lambda: len(memory.left))
        return
    server: MotoSqs = request.getfixturevalue("moto")
    url = server.create(f"landing-{uuid.uuid4().hex[:8]}")
    queue = SqsQueue(url, region=REGION, endpoint_url=server.url, access=ACCESS)
    try:
        yield World(
            queue,
            lambda body: server.client.send_message(QueueUrl=url, MessageBody=body.decode()),
            lambda: server.left(url),
        )
    finally:
        await queue.close()
