"""What the fault proxy lets pass, what it cuts, and when. The server behind it answers each line in capitals."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.support.eventually import eventually
from tests.support.proxy import (
    CutAfter,
    CutOn,
    Delay,
    Freeze,
    Healthy,
    Refuse,
    TcpProxy,
    Throttle,
    serving,
    tcp_proxy,
)

GONE = (OSError, asyncio.IncompleteReadError)


@dataclass
class Behind:
    """The proxy, the lines that the server heard, and the connections that a test made."""

    proxy: TcpProxy
    heard: list[bytes]
    dialled: list[asyncio.StreamWriter] = field(default_factory=list)


@pytest_asyncio.fixture
async def behind() -> AsyncIterator[Behind]:
    heard: list[bytes] = []

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
            writer.write(line.upper())
            await writer.drain()

    async with serving(shout) as port, tcp_proxy("127.0.0.1", port) as proxy:
        behind = Behind(proxy, heard)
        yield behind
        for writer in behind.dialled:
            writer.transport.abort()


async def dial(behind: Behind) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", behind.proxy.port)
    behind.dialled.append(writer)
    return reader, writer


async def ask(line: bytes, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    reader, writer = connection
    writer.write(line + b"\n")
    async with asyncio.timeout(5):
        return (await reader.readuntil(b"\n")).rstrip()


async def test_without_a_fault_everything_passes(behind: Behind) -> None:
    """In both directions, on one connection after the other."""
    connection = await dial(behind)
    assert [b"ONE", b"TWO"] == [await ask(b"one", connection), await ask(b"two", connection)]
    assert b"THREE" == await ask(b"three", await dial(behind))
    assert 0 == behind.proxy.struck


async def test_a_refused_connection_is_no_connection_and_the_others_stay(behind: Behind) -> None:
    """And with another fault set, everything is well again."""
    old = await dial(behind)
    await ask(b"hello", old)
    behind.proxy.fault = Refuse()
    with pytest.raises(GONE):
        await ask(b"one", await dial(behind))
    assert b"TWO" == await ask(b"two", old)
    assert 1 == behind.proxy.struck
    behind.proxy.fault = Healthy()
    assert b"THREE" == await ask(b"three", await dial(behind))


async def test_a_cut_ends_all_connections_at_once(behind: Behind) -> None:
    """New ones are welcome."""
    connections = [await dial(behind) for _ in range(2)]
    for connection in connections:
        await ask(b"hello", connection)
    assert 2 == behind.proxy.cut()
    for connection in connections:
        with pytest.raises(GONE):
            await ask(b"one", connection)
    assert b"TWO" == await ask(b"two", await dial(behind))


@pytest.mark.parametrize(("when", "arrives"), [("before", False), ("sent", True), ("answered", True)])
async def test_a_cut_on_a_word_strikes_before_or_after_the_server_hears_it(
    behind: Behind, when: str, arrives: bool
) -> None:
    """The client gets no answer; whether the server has heard it is the difference. It strikes once."""
    behind.proxy.fault = CutOn(b"COMMIT", when=when)  # type: ignore[arg-type]
    connection = await dial(behind)
    assert b"BEGIN" == await ask(b"begin", connection)
    with pytest.raises(GONE):
        await ask(b"COMMIT", connection)
    if arrives:
        await eventually(lambda: b"COMMIT\n" in behind.heard)
    assert arrives is (b"COMMIT\n" in behind.heard)
    assert b"COMMIT" == await ask(b"COMMIT", await dial(behind))
    assert 1 == behind.proxy.struck


async def test_a_word_is_found_though_it_comes_in_two_pieces(behind: Behind) -> None:
    """And the second time, if that is what was asked for."""
    behind.proxy.fault = CutOn(b"COMMIT", when="before", nth=2)
    connection = await dial(behind)
    assert b"COMMIT" == await ask(b"COMMIT", connection)
    connection[1].write(b"COM")
    await connection[1].drain()
    await eventually(lambda: b"COM" in b"".join(c.asked_tail for c in behind.proxy._open))
    with pytest.raises(GONE):
        await ask(b"MIT", connection)


async def test_the_cut_waits_for_the_answer_that_proves_the_effect(behind: Behind) -> None:
    """Other answers on the way are withheld, and prove nothing."""
    behind.proxy.fault = CutOn(b"publish", when="answered", answer=b"DONE")
    reader, writer = await dial(behind)
    writer.write(b"publish\nping\n")
    await eventually(lambda: len(behind.heard) == 2)
    assert 0 == behind.proxy.struck
    writer.write(b"done\n")
    with pytest.raises(GONE):
        await reader.readexactly(1)
    assert 1 == behind.proxy.struck


async def test_an_answer_breaks_off_after_so_many_bytes(behind: Behind) -> None:
    """To the byte."""
    behind.proxy.fault = CutAfter(3)
    reader, writer = await dial(behind)
    writer.write(b"abcdef\n")
    assert b"ABC" == await reader.readexactly(3)
    with pytest.raises(GONE):
        await reader.readexactly(1)


async def test_a_frozen_server_says_nothing_until_it_thaws(behind: Behind) -> None:
    """Also on connections that were open before."""
    connection = await dial(behind)
    await ask(b"hello", connection)
    behind.proxy.fault = Freeze()
    connection[1].write(b"one\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await connection[0].readline()
    assert [b"hello\n"] == behind.heard
    behind.proxy.fault = Healthy()
    assert b"ONE\n" == await connection[0].readline()


@pytest.mark.parametrize(("fault", "least_s"), [(Delay(0.2), 0.2), (Throttle(bytes_per_s=1000), 0.15)])
async def test_answers_can_be_late_or_slow(behind: Behind, fault: Delay | Throttle, least_s: float) -> None:
    """A throttled answer of 200 bytes at 1000 bytes a second takes a fifth of a second; nothing of it is lost."""
    behind.proxy.fault = fault
    began = time.monotonic()
    assert b"A" * 200 == await ask(b"a" * 200, await dial(behind))
    assert time.monotonic() - began >= least_s
