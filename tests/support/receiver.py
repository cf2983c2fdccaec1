"""A webhook's receiver: a small real HTTP server that answers as it is told, and remembers what came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_REASONS = {200: "OK", 302: "Found", 410: "Gone", 500: "Internal Server Error"}


@dataclass(frozen=True)
class Received:
    """One request: its path, headers with small letters, and its body byte by byte."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """``answers``: statuses for the next requests, the last one for ever. 0: no answer at all."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    received: list[Received] = field(default_factory=list)
    location: str = ""

    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.received]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.received.append(Received(lines[0].split()[1], headers, body))
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if status == 0:
                await reader.read()  # until the client gives up
                return
            location = f"Location: {self.location}\r\n" if self.location else ""
            reason = _REASONS.get(status, "Other")
            writer.write(f"HTTP/1.1 {status} {reason}\r\n{location}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the sender was killed in the middle
        finally:
            writer.close()


@asynccontextmanager
async def receiver(**settings: Any) -> AsyncIterator[Receiver]:
    """One that listens on a port of its own while the block runs."""
    made = Receiver(**settings)
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield made
