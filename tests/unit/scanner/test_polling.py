"""From a queue to a handler: nothing is deleted that was not taken in, and nothing is kept that was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import Message
from libs.common.errors import Invalid, Permanent, Temporary
from libs.common.ids import new_event_id
from libs.common.messaging.attempt import Attempts
from libs.common.messaging.dead_letters import DeadLetterLimit, DeadLetters
from libs.common.messaging.outcome import BUG_ATTEMPTS
from services.scanner.notifications.polling import QueuePoller
from tests.support.eventually import eventually
from tests.support.memory_broker import MemoryBroker
from tests.support.memory_queue import MemoryQueue

TOPIC = "autoloader.s3-notifications"
SOON = timedelta(milliseconds=20)


class News(Message):
    """What a message of the queue says."""

    wire_type = "test.news"

    text: str


def decode(raw: bytes) -> Envelope:
    if raw == b"poison":
        raise Invalid("this is no notification", code="not_a_notification")
    return Envelope(new_event_id(), "a bucket", datetime.now(UTC), News(text=raw.decode()))


class World:
    """A queue, a poller and what it takes in. ``trouble`` may raise instead."""

    def __init__(self, *, hold: timedelta = timedelta(seconds=60), limit: DeadLetterLimit | None = None) -> None:
        self.queue = MemoryQueue()
        self.broker = MemoryBroker()
        self.broker.create_topic(f"{TOPIC}.dlq")
        self.taken: list[str] = []
        self.trouble: Callable[[str], Awaitable[None]] = self._none
        attempts = Attempts({News: self._take}, DeadLetters(self.broker.publisher(), limit=limit), decode)
        self.poller = QueuePoller(self.queue, attempts, topic=TOPIC, receivers=2, wait=SOON, hold=hold)

    def letters(self) -> list[tuple[bytes, bytes, bytes]]:
        records = self.broker.records(f"{TOPIC}.dlq")
        return [(r.value, r.headers["code"], r.headers["attempt"]) for r in records]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.poller.run())
        try:
            yield
        finally:
            self.poller.request_stop()
            await asyncio.wait_for(running, 5)

    async def _take(self, envelope: Envelope) -> None:
        assert isinstance(envelope.message, News)
        await self.trouble(envelope.message.text)
        self.taken.append(envelope.message.text)

    async def _none(self, _: str) -> None:
        return


async def test_what_is_taken_in_is_deleted() -> None:
    world = World()
    for number in range(25):
        world.queue.send(b"%d" % number)
    async with world.running():
        await eventually(lambda: not world.queue.left)
    assert sorted(map(str, range(25))) == sorted(world.taken)


async def test_what_cannot_be_taken_in_now_stays_and_comes_again() -> None:
    """As while the database is away: nothing becomes a dead letter, however long it takes."""
    world = World()
    tries = 0

    async def away(_: str) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise Temporary("the database is away", code="database_unavailable")

    world.trouble = away
    world.queue.send(b"a")
    async with world.running():
        await eventually(lambda: not world.queue.left, 10)
    assert (["a"], 4, []) == (world.taken, tries, world.letters())


async def test_what_is_no_notification_becomes_a_dead_letter_at_once() -> None:
    """Its neighbours are taken in all the same."""
    world = World()
    for body in (b"a", b"poison", b"b"):
        world.queue.send(body)
    async with world.running():
        await eventually(lambda: not world.queue.left)
    assert [(b"poison", b"not_a_notification", b"1")] == world.letters()
    assert ["a", "b"] == sorted(world.taken)


async def test_a_message_that_meets_a_bug_becomes_a_dead_letter_after_some_receives() -> None:
    world = World()

    async def bug(text: str) -> None:
        if text == "odd":
            raise ZeroDivisionError

    world.trouble = bug
    world.queue.send(b"odd")
    world.queue.send(b"a")
    async with world.running():
        await eventually(lambda: not world.queue.left, 15)
    assert [(b"odd", b"bug", str(BUG_ATTEMPTS).encode())] == world.letters()
    assert ["a"] == world.taken


async def test_a_long_take_keeps_its_messages() -> None:
    """Their hold is extended, so that nobody else gets them meanwhile."""
    world = World(hold=timedelta(milliseconds=60))
    done = asyncio.Event()

    async def long(_: str) -> None:
        await done.wait()

    world.trouble = long
    world.queue.send(b"a")
    async with world.running():
        await eventually(lambda: len(world.queue.holds) >= 6)
        done.set()
        await eventually(lambda: not world.queue.left)
    assert ["a"] == world.taken


async def test_a_queue_that_is_missing_is_asked_again() -> None:
    world = World()
    world.queue.problem = Permanent("queue landing does not exist", code="queue_not_found")
    async with world.running():
        await eventually(lambda: world.poller.problem == "queue landing does not exist")
        world.queue.problem = None
        world.queue.send(b"a")
        await eventually(lambda: world.taken == ["a"])
        await eventually(lambda: world.poller.problem is None)


async def test_beyond_the_limit_of_dead_letters_messages_stay_in_the_queue() -> None:
    """A bad release must not empty a queue into the dead letters; nor does it end the service."""
    world = World(limit=DeadLetterLimit(allowance=2, window=10, share=0.1))
    for _ in range(3):
        world.queue.send(b"poison")
    async with world.running():
        await eventually(lambda: not world.queue.left)
        for _ in range(3):
            world.queue.send(b"poison")
        await eventually(lambda: "could not be handled" in (world.poller.problem or ""))
    assert 3 == len(world.letters())
    assert 3 == len(world.queue.left)
