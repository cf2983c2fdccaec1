"""Dead letters on the real broker: set aside, looked at, sent back, each once; and the command that does it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from libs.common.contracts.topics import FILE_BATCHES
from libs.common.errors import Permanent
from libs.common.messaging.dead_letters import DeadLetterLimit, DeadLetters
from libs.common.messaging.kafka import KafkaDeadLetterStore, KafkaPublisher, ensure_topics
from libs.common.messaging.ports import Incoming
from libs.common.messaging.replay import list_letters, replay
from tests.contract.messaging.conftest import BOOTSTRAP, kafka_records
from tests.support.topics import own_topics

pytestmark = pytest.mark.contract


class World:
    """One topic of an installation of its own, and its dead letters."""

    def __init__(self, prefix: str, store: KafkaDeadLetterStore, publisher: KafkaPublisher) -> None:
        self.prefix = prefix
        self.store = store
        self.publisher = publisher
        self.topic = FILE_BATCHES.name(prefix)
        self.dlq = FILE_BATCHES.dead_letter_name(prefix)

    async def set_aside(self, *values: bytes, code: str = "bug") -> None:
        letters = DeadLetters(self.publisher, limit=DeadLetterLimit(allowance=1000))
        for number, value in enumerate(values):
            message = Incoming(self.topic, 3, number, b"k", value)
            await letters.set_aside(message, code=code, reason="it did not work", attempt=5)

    async def replay(self, code: str | None = None, *, dry_run: bool = False) -> tuple[int, int]:
        report = await replay(self.store, self.publisher, self.dlq, code=code, dry_run=dry_run)
        return len(report.sent), len(report.refused)

    async def waiting(self) -> list[bytes]:
        return [letter.message.value for letter in await list_letters(self.store, self.dlq)]

    async def arrived(self) -> list[Incoming]:
        return await kafka_records(self.topic)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of ``autoloader dead-letters …``."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "client.cli",
            "dead-letters",
            *arguments,
            env={**os.environ, "AUTOLOADER_TOPIC_PREFIX": self.prefix, "AUTOLOADER_KAFKA_BOOTSTRAP": BOOTSTRAP},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        prefix = await stack.enter_async_context(own_topics())
        await ensure_topics(BOOTSTRAP, [FILE_BATCHES], prefix)
        publisher = KafkaPublisher(BOOTSTRAP, "test", timeout_s=5)
        stack.push_async_callback(publisher.stop)
        store = await stack.enter_async_context(KafkaDeadLetterStore.open(BOOTSTRAP, prefix))
        yield World(prefix, store, publisher)


async def test_a_letter_goes_back_once(world: World) -> None:
    """With key and value, and where it lay; the next replay has nothing to do until there is a new one."""
    await world.set_aside(b"a", b"b")
    assert (2, 0) == await world.replay()
    assert (0, 0) == await world.replay()
    await world.set_aside(b"c")
    assert (1, 0) == await world.replay()
    arrived = await world.arrived()
    assert [b"a", b"b", b"c"] == [message.value for message in arrived]
    assert {b"k"} == {message.key for message in arrived}
    assert {"replayed-from": f"{world.dlq}/0/2".encode()} == arrived[-1].headers


async def test_letters_of_one_code_leave_the_others_waiting(world: World) -> None:
    """Also those that lie before them."""
    await world.set_aside(b"a", code="bug")
    await world.set_aside(b"b", code="no_such_bucket")
    await world.set_aside(b"c", code="bug")
    assert (1, 0) == await world.replay("no_such_bucket")
    assert [b"a", b"c"] == await world.waiting()
    assert (2, 0) == await world.replay()
    assert [b"b", b"a", b"c"] == [message.value for message in await world.arrived()]


async def test_a_truncated_letter_is_kept(world: World) -> None:
    """Half a message would be worse than none; the others go."""
    await world.set_aside(b"x" * 2_000_000, b"b")
    assert (1, 1) == await world.replay()
    assert [b"b"] == [message.value for message in await world.arrived()]
    assert (0, 1) == await world.replay()
    assert 1 == len(await world.waiting())


async def test_a_dry_run_sends_and_remembers_nothing(world: World) -> None:
    """It only counts."""
    await world.set_aside(b"a")
    assert (1, 0) == await world.replay(dry_run=True)
    assert [] == await world.arrived()
    assert [b"a"] == await world.waiting()


async def test_many_letters_go_back_in_order(world: World) -> None:
    """More than are sent at once."""
    await world.set_aside(*(str(number).encode() for number in range(250)))
    assert (250, 0) == await world.replay()
    assert [str(number).encode() for number in range(250)] == [message.value for message in await world.arrived()]


async def test_a_topic_that_is_not_there_is_named(world: World) -> None:
    """Instead of being waited for."""
    with pytest.raises(Permanent) as raised:
        await list_letters(world.store, f"{world.prefix}.nothing.dlq")
    assert "no_such_topic" == raised.value.code


async def test_the_command_shows_letters_and_sends_them_back(world: World) -> None:
    """Exit code 0 for done, 1 for kept, 2 for trouble."""
    await world.set_aside(b"a", b"x" * 2_000_000)
    code, output = await world.command("list")
    assert (0, True) == (code, f"2  {world.dlq}  bug: 2" in output), output
    code, output = await world.command("list", world.topic)
    assert (0, True) == (code, f"{world.dlq}/0/0" in output and "it did not work" in output), output
    code, output = await world.command("replay", world.topic, "--code", "other")
    assert (0, "0 replayed, 0 kept") == (code, output.strip())
    code, output = await world.command("replay", world.topic)
    assert (1, True) == (code, output.endswith("1 replayed, 1 kept\n")), output
    code, output = await world.command("replay", f"{world.prefix}.nothing")
    assert (2, True) == (code, "there is no topic" in output), output
