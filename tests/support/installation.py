"""A whole Autoloader of a test's own: a database, topics, a port, and real service processes that may be killed.

    async with installation() as autoloader:
        await autoloader.start("scanner")
        victim = await autoloader.start("executor", failpoint="exec.after_publish")
        ...
        assert await victim.ended() == -signal.SIGKILL

Postgres, Kafka, MinIO and Spark are the local stack's. No process outlives the block, whatever happens in it.
"""

import asyncio
import base64
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.databases import fresh_database_url
from tests.support.eventually import eventually
from tests.support.topics import kafka_bootstrap, own_topics

ROOT = Path(__file__).parents[2]
START_S = 120.0  # a deadline, not a wait: machines that run tests are busy
LEASE_S = 3.0
SWEEP_S = 1.0


@dataclass
class ServiceProcess:
    """One running service. ``log`` is what it has written so far."""

    name: str
    process: Process
    log: list[str] = field(default_factory=list)

    async def ended(self, within_s: float = 60) -> int:
        """Its exit code; negative: the signal that killed it."""
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def ready(self) -> None:
        """Returns when it says that it is; raises AssertionError when it has ended instead."""
        await eventually(self._is_up, START_S, what=f"the {self.name} is ready")

    def _is_up(self) -> bool:
        assert self.process.returncode is None, f"the {self.name} ended:\n" + "\n".join(self.log)
        return self.says("service.ready")

    def says(self, event: str) -> bool:
        return any(f'"event": "{event}"' in line for line in self.log)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def stop(self) -> None:
        """Politely, then not."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            await self.ended(within_s=15)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@dataclass
class Installation:
    """Starts services, and speaks to their API. ``modules`` names what is started instead of ``services.<name>``."""

    environment: dict[str, str]
    client: httpx.AsyncClient
    running: list[ServiceProcess] = field(default_factory=list)
    modules: dict[str, str] = field(default_factory=dict)

    async def start(
        self, name: str, *, failpoint: str | None = None, module: str | None = None, **settings: str
    ) -> ServiceProcess:
        """Returns when the service says that it is ready. ``settings`` are environment variables of this one alone,
        ``module`` is what is started instead of ``modules[name]``."""
        service = await self.launch(name, failpoint=failpoint, module=module, **settings)
        await service.ready()
        return service

    async def launch(
        self, name: str, *, failpoint: str | None = None, module: str | None = None, **settings: str
    ) -> ServiceProcess:
        """As ``start``, but returns at once."""
        armed = {"AUTOLOADER_FAILPOINT": failpoint} if failpoint else {}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module or self.modules.get(name, f"services.{name}"),
            cwd=ROOT,
            stderr=PIPE,
            env={**os.environ, **self.environment, **settings, **armed},
        )
        service = ServiceProcess(name, process)
        self.running.append(service)
        service_log = asyncio.create_task(_read(service))
        _READERS.add(service_log)
        service_log.add_done_callback(_READERS.discard)
        return service

    @asynccontextmanager
    async def another_api(self, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
        """A second replica of the API, on a port of its own; ``settings`` are its own as well."""
        port = free_port()
        await self.start("api", AUTOLOADER_API_PORT=str(port), **settings)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield client

    async def stop_all_but_the_api(self) -> None:
        """For the next test, which starts the services that it needs."""
        api, *others = self.running
        await asyncio.gather(*(service.stop() for service in others))
        self.running[:] = [api]

    def complaints(self) -> list[str]:
        """Warnings and errors from all logs, for the message of a test that failed."""
        levels = ('"level": "warning"', '"level": "error"')
        return [line for service in self.running for line in service.log if any(level in line for level in levels)]

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.client.post(f"/api/v1/ingestions{path}", json=body or None)
        assert answer.is_success, answer.text
        answered: dict[str, Any] = answer.json()
        return answered

    async def run_of(self, ingestion_id: str, run_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/ingestions/{ingestion_id}/runs/{run_id}")
        assert answer.is_success, answer.text
        run: dict[str, Any] = answer.json()
        return run


@asynccontextmanager
async def installation(
    *,
    postgres_at: str | None = None,
    postgres: str | None = None,
    kafka: str | None = None,
    modules: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Installation]:
    """An Autoloader with its API running, and short leases.

    ``postgres_at`` (host:port) is a proxy that its services reach Postgres through; ``postgres`` (a URL) is a server of
    the test's own; ``kafka`` (host:port) is a broker of the test's own, on which nothing is cleaned up; ``modules``
    names what is started instead of ``services.<name>``; ``settings`` are environment variables that win over ours
    (``AUTOLOADER_CLUSTERS`` with a proxy before Spark, for example).
    """
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(fresh_database_url(server=postgres))
        if postgres_at is not None:
            url = urlsplit(database_url)
            database_url = url._replace(netloc=f"{url.username}:{url.password}@{postgres_at}").geturl()
        prefix = "test" if kafka else await stack.enter_async_context(own_topics())
        port = free_port()
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15, trust_env=False)
        )
        minio = os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000")
        spark = os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")
        autoloader = Installation(
            {
                "DATABASE_URL": database_url,
                "AUTOLOADER_DATABASE_URL": database_url,
                "AUTOLOADER_KAFKA_BOOTSTRAP": kafka or kafka_bootstrap(),
                "AUTOLOADER_TOPIC_PREFIX": prefix,
                "AUTOLOADER_SECRET_KEY": base64.b64encode(bytes(range(32))).decode(),
                "AUTOLOADER_API_PORT": str(port),
                "AUTOLOADER_CLUSTERS": f'{{"local": "{spark}"}}',
                "AUTOLOADER_S3_ENDPOINT_URL": minio,
                "AUTOLOADER_S3_ACCESS_KEY_ID": os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
                "AUTOLOADER_S3_SECRET_ACCESS_KEY": os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
                "AUTOLOADER_LEASE_TTL_S": str(LEASE_S),
                "AUTOLOADER_SWEEP_INTERVAL_S": str(SWEEP_S),
                **(settings or {}),
            },
            client,
            modules=dict(modules or {}),
        )
        try:
            await autoloader.start("api")
            yield autoloader
        finally:
            await asyncio.gather(*(service.stop() for service in autoloader.running))


_READERS: set[asyncio.Task[None]] = set()


async def _read(service: ServiceProcess) -> None:
    assert service.process.stderr is not None
    while line := await service.process.stderr.readline():
        service.log.append(line.decode().rstrip())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
