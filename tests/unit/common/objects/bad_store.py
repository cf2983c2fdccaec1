"""A program on a port that answers as a store in trouble does, or as no store at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = bytes | Callable[[int], bytes]
"""Bytes to send before the connection is closed, or what makes them from the number of the request, from 1."""


def http(body: str | bytes, *, status: str = "200 OK", length: int | None = None, headers: str = "") -> bytes:
    """An answer. ``length`` may lie."""
    raw = body.encode() if isinstance(body, str) else body
    size = len(raw) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}{headers}\r\n".encode() + raw


def error(code: str, status: str) -> bytes:
    """An answer as S3 words its refusals."""
    return http(f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>", status=status)


def listing(*entries: str, more: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    """A page of a listing. Each entry is the XML inside of one ``Contents``."""
    contents = "".join(f"<Contents>{e}</Contents>" for e in entries)
    return http(
        "<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        f"<Name>b</Name>{more}<EncodingType>url</EncodingType>{contents}</ListBucketResult>"
    )


def entry(key: str, etag: str = "&quot;e&quot;") -> str:
    """The inside of a ``Contents``."""
    return f"<Key>{key}</Key><LastModified>2025-01-07T00:00:00.000Z</LastModified><ETag>{etag}</ETag><Size>3</Size>"


@dataclass
class BadStore:
    url: str = ""
    requests: list[str] = field(default_factory=list)


@asynccontextmanager
async def bad_store(answer: Answer) -> AsyncIterator[BadStore]:
    """The program, for as long as the block runs."""
    store = BadStore()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            store.requests.append(head.split(b"\r\n", 1)[0].decode())
            told = answer if isinstance(answer, bytes) else answer(len(store.requests))
            if head.startswith(b"HEAD "):  # has no body
                told = b"".join(told.partition(b"\r\n\r\n")[:2])
            writer.write(told)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    store.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield store
