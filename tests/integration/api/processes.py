"""The API as its own process, as it runs in production, on a free port with topics of its own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.integration.api.conftest import SECRET_KEY
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]
START_S = 120.0  # a deadline, not a wait: machines that run tests are busy


@dataclass
class ApiProcess:
    """A running API."""

    client: httpx.AsyncClient
    process: Process
    topic_prefix: str
    log: list[str]


@asynccontextmanager
async def api_process(port: int, **environment: str) -> AsyncIterator[ApiProcess]:
    """Starts it and waits until it answers; asks it to stop at the end, and checks that it stops well. One with a
    failpoint is waited for until that has killed it."""
    prefix = environment.get("AUTOLOADER_TOPIC_PREFIX", "unused")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.api", cwd=ROOT, stderr=PIPE,
        env={
            **os.environ,
            "AUTOLOADER_SECRET_KEY": SECRET_KEY,
            "AUTOLOADER_API_PORT": str(port),
            "AUTOLOADER_CLUSTERS": '{"local": "sc://localhost:15002"}',
            "AUTOLOADER_SWEEP_INTERVAL_S": "1",
            **environment,
        },
    )  # fmt: skip
    log: list[str] = []
    reading = asyncio.create_task(_read(process, log))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15, trust_env=False) as client:
            await eventually(lambda: _answers(client, process), START_S, what="the API answers")
            yield ApiProcess(client, process, prefix, log)
        is_killed = "AUTOLOADER_FAILPOINT" in environment
        if not is_killed:
            process.terminate()
        expected = -signal.SIGKILL if is_killed else 0
        assert await asyncio.wait_for(process.wait(), 15) == expected, "\n".join(log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


async def _answers(client: httpx.AsyncClient, process: Process) -> bool:
    assert process.returncode is None, "the API ended before it answered"
    try:
        return (await client.get("/health/live")).is_success
    except httpx.TransportError:
        return False


async def _read(process: Process, log: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        log.append(line.decode().rstrip())
