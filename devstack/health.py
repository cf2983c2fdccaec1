"""Asking a part whether it does its work.

Each question is the part's own protocol: an open port alone proves little.
"""

import asyncio
import contextlib
import struct
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import asyncpg  # type: ignore[import-untyped, unused-ignore]

HOST = "127.0.0.1"
TIMEOUT_S = 2.0

KAFKA_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Length, api key 18 (ApiVersions), version 0, correlation id 1, no client id."""

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
"""The client's preface and an empty SETTINGS frame; a gRPC server answers with its own SETTINGS."""

HTTP2_SETTINGS = 4


async def postgres_answers(port: int, user: str, password: str) -> bool:
    """Whether Postgres lets this user in."""
    try:
        connection = await asyncpg.connect(
            host=HOST, port=port, user=user, password=password, database="postgres", timeout=TIMEOUT_S, ssl=False
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


async def http_answers(url: str) -> bool:
    """Whether a GET brings a 2xx."""

    def get() -> bool:
        # Without the proxies of the environment: these addresses are of this machine.
        with build_opener(ProxyHandler({})).open(url, timeout=TIMEOUT_S) as response:
            return bool(200 <= response.status < 300)

    try:
        return await asyncio.to_thread(get)
    except (URLError, OSError, HTTPException):
        return False


async def kafka_answers(port: int) -> bool:
    """Whether a broker tells which requests it understands."""
    answer = await _exchange(port, KAFKA_API_VERSIONS, answer_bytes=10)
    if len(answer) < 10:
        return False
    _, correlation, error = struct.unpack(">iih", answer)
    return bool(correlation == 1 and error == 0)


async def grpc_answers(port: int) -> bool:
    """Whether a gRPC server greets us."""
    answer = await _exchange(port, HTTP2_PREFACE, answer_bytes=9)
    return len(answer) == 9 and answer[3] == HTTP2_SETTINGS


async def log_says(log: Path, word: str) -> bool:
    """Whether the part has written `word` since it was started."""
    return log.exists() and word in log.read_text(errors="replace")


async def _exchange(port: int, request: bytes, answer_bytes: int) -> bytes:
    """Send, and read up to so many bytes; empty when nobody answers."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request)
                return await reader.readexactly(answer_bytes)
            finally:
                writer.close()
    return b""
