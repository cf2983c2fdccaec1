"""Is every part of the stack there? Asked once per session: a missing part is one sentence, not forty failures."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from tests.e2e.environment import Environment

POLL_S = 0.25
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")  # the first words of Postgres's protocol


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the stack. ``check`` raises as long as it is not ready."""

    name: str
    where: str
    patience_s: float
    check: Callable[[], Awaitable[None]]


def parts(environment: Environment) -> tuple[Part, ...]:
    minio, spark = environment.minio_endpoint, environment.spark_connect_url
    postgres = urlsplit(environment.database_url)
    at_postgres = (postgres.hostname or "localhost", postgres.port or 5432)
    return (
        Part("MinIO", minio, 30, lambda: _answers_200(f"{minio}/minio/health/live")),
        Part("Postgres", "{}:{}".format(*at_postgres), 30, lambda: _speaks_postgres(*at_postgres)),
        Part("Kafka", environment.kafka_bootstrap, 30, lambda: _listens(f"//{environment.kafka_bootstrap}", 9092)),
        Part("Spark Connect", spark, 60, lambda: _listens(spark, 15002)),
        Part("the API", environment.api_url, 30, lambda: _answers_200(f"{environment.api_url}/health/ready")),
    )


async def wait_for(part: Part) -> None:
    """Returns when ``part`` is ready.

    Raises:
        RuntimeError: it was not within its patience; names the part, where it was looked for, and the remedy.
    """
    deadline = time.monotonic() + part.patience_s
    while True:
        try:
            return await part.check()
        except (OSError, EOFError, httpx.HTTPError, TimeoutError) as e:
            if time.monotonic() >= deadline:
                raise RuntimeError(
                    f"{part.name} not ready at {part.where} after {part.patience_s:.0f} s ({e or type(e).__name__}). "
                    "Start the stack with `make up`, or stack and services with `make services`."
                ) from e
        await asyncio.sleep(POLL_S)


async def _answers_200(url: str) -> None:
    async with httpx.AsyncClient(timeout=3) as http:
        response = await http.get(url)
        if response.status_code != 200:
            raise OSError(f"{response.status_code}: {response.text[:300]}")


async def _listens(url: str, default_port: int) -> None:
    address = urlsplit(url)
    async with asyncio.timeout(3):
        _, writer = await asyncio.open_connection(address.hostname or "localhost", address.port or default_port)
    writer.close()


async def _speaks_postgres(host: str, port: int) -> None:
    async with asyncio.timeout(3):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(_SSL_REQUEST)
        answer = await reader.readexactly(1)
    writer.close()
    if answer not in (b"S", b"N"):
        raise OSError(f"something else answers there: {answer!r}")
