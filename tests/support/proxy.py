"""A TCP proxy that misbehaves on demand, between a service and the part that it needs.

    async with tcp_proxy("localhost", 5432) as postgres:
        postgres.fault = CutOn(b"COMMIT", when="answered")  # it took effect, and nobody hears of it
        ...
        postgres.fault = Refuse()                           # the server is away
        postgres.cut()                                      # and so are the connections that were open

A fault is a plain value and holds until another one is set; ``CutOn`` strikes once and is gone. Nothing here is
random. Kafka cannot be put behind it: its brokers tell clients their own address.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CHUNK_BYTES = 64 * 1024
_TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Healthy:
    """Everything passes."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """New connections are reset. Those that are open stay: see ``TcpProxy.cut``."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Connections are accepted, and nothing passes in either direction, also on those that were open before."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Each piece of an answer comes this much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Throttle:
    """Answers come at this speed, on each connection."""

    bytes_per_s: int


@dataclass(frozen=True, slots=True)
class CutAfter:
    """Each connection is closed when it has brought so many bytes to the client since the fault was set."""

    answer_bytes: int


@dataclass(frozen=True, slots=True)
class CutOn:
    """One connection is reset when the client asks for something for the ``nth`` time, on whichever connections.

    ``before``: the server never hears of it. ``sent``: it does, and the cut comes at once. ``answered``: none of the
    answer passes, and the cut comes when the server has sent ``answer`` (empty: anything), so it has taken effect.
    """

    asked: bytes
    when: Literal["before", "sent", "answered"] = "answered"
    answer: bytes = b""
    nth: int = 1


Fault = Healthy | Refuse | Freeze | Delay | Throttle | CutAfter | CutOn


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    passed_bytes: int = 0
    asked_tail: bytes = b""
    withheld: bytes | None = None
    """What the server has answered since the client asked for what is to be cut; None: not asked yet."""
    awaited: bytes = b""

    def reset(self) -> None:
        for writer in (self.client, self.server):
            reset(writer)


@dataclass
class TcpProxy:
    """``struck`` counts connections that were refused or cut; ``address`` is host:port."""

    upstream: tuple[str, int]
    port: int = 0
    struck: int = 0
    _fault: Fault = field(default_factory=Healthy)
    _asked: int = 0
    _open: set[_Connection] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        self._asked = 0
        for connection in self._open:
            connection.passed_bytes = 0

    def cut(self) -> int:
        """Resets all open connections; how many there were."""
        connections = list(self._open)
        for connection in connections:
            self._strike(connection)
        return len(connections)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        if isinstance(self.fault, Refuse):
            self.struck += 1
            reset(writer)
            return
        try:
            from_server, to_server = await asyncio.open_connection(*self.upstream)
        except OSError:
            reset(writer)
            return
        connection = _Connection(writer, to_server)
        self._open.add(connection)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._questions(reader, connection))
                both.create_task(self._answers(from_server, connection))
        except* OSError:
            pass  # one side is gone; the other learns of it below
        finally:
            self._open.discard(connection)
            connection.reset()

    async def _questions(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._thawed()
            strikes = self._is_asked(connection, chunk)
            if strikes == "before":
                self._strike(connection)
                return
            if strikes == "answered":
                connection.withheld = b""
            connection.server.write(chunk)
            await connection.server.drain()
            if strikes == "sent":
                # Closed, not aborted: what was written last still has to arrive.
                connection.server.close()
                with suppress(OSError):
                    await connection.server.wait_closed()
                self._strike(connection)
                return
        if connection.server.can_write_eof():
            connection.server.write_eof()

    async def _answers(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._thawed()
            if connection.withheld is not None:
                connection.withheld += chunk
                if connection.awaited in connection.withheld:
                    self._strike(connection)
                    return
                continue
            if not await self._pass_on(chunk, connection):
                return
        connection.client.close()

    async def _pass_on(self, chunk: bytes, connection: _Connection) -> bool:
        """Whether the connection still stands afterwards."""
        match self.fault:
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Throttle(bytes_per_s):
                return await self._trickle(chunk, connection, bytes_per_s)
            case CutAfter(answer_bytes) if connection.passed_bytes + len(chunk) >= answer_bytes:
                connection.client.write(chunk[: answer_bytes - connection.passed_bytes])
                connection.client.close()  # a reset might overtake the bytes
                await connection.client.wait_closed()
                self._strike(connection)
                return False
        connection.passed_bytes += len(chunk)
        connection.client.write(chunk)
        await connection.client.drain()
        return True

    async def _trickle(self, chunk: bytes, connection: _Connection, bytes_per_s: int) -> bool:
        step = max(1, round(bytes_per_s * _TICK_S))
        for at in range(0, len(chunk), step):
            connection.client.write(chunk[at : at + step])
            await connection.client.drain()
            if isinstance(self.fault, Throttle):
                await asyncio.sleep(_TICK_S)
        return True

    def _is_asked(self, connection: _Connection, chunk: bytes) -> str | None:
        """When to cut, if this chunk has what the fault waits for. Words may be split over two chunks."""
        fault = self.fault
        if not isinstance(fault, CutOn):
            return None
        seen = connection.asked_tail + chunk
        connection.asked_tail = seen[max(0, len(seen) - len(fault.asked) + 1) :]
        self._asked += seen.count(fault.asked)
        if self._asked < fault.nth:
            return None
        connection.awaited = fault.answer
        self.fault = Healthy()
        return fault.when

    def _strike(self, connection: _Connection) -> None:
        self.struck += 1
        self._open.discard(connection)
        connection.reset()

    async def _thawed(self) -> None:
        while isinstance(self.fault, Freeze):  # noqa: ASYNC110 - the fault is a plain value, it sends no events
            await asyncio.sleep(_TICK_S)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection the rude way: whatever is on its way is lost, and the other side sees a reset."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def tcp_proxy(host: str, port: int) -> AsyncIterator[TcpProxy]:
    """A proxy in front of ``host:port``, on a free port of this machine, gone with its connections at the end."""
    proxy = TcpProxy((host, port))
    async with serving(proxy.serve) as proxy.port:
        yield proxy


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """A server that ends all its conversations when the block ends. Yields its port."""
    talks: set[asyncio.Task[None]] = set()

    async def talk_to_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.transport.abort()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(talk_to_end(reader, writer))
        talks.add(talk)
        talk.add_done_callback(talks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
