"""A scanner as its own process, with a queue in its settings."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.scanner.harness import Harness
from tests.integration.scanner.queue_world import World, record
from tests.support.eventually import eventually
from tests.support.moto_sqs import ACCESS, REGION, MotoSqs
from tests.support.topics import kafka_bootstrap, own_topics

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
START_S = 120.0  # a deadline, not a wait: machines that run tests are busy


@asynccontextmanager
async def scanner(environment: dict[str, str]) -> AsyncIterator[tuple[Process, list[str]]]:
    """The process, and what it logs. It may have ended by itself when the block is over."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.scanner", cwd=ROOT, stderr=PIPE, env={**os.environ, **environment}
    )
    log: list[str] = []
    reading = asyncio.create_task(_read(process, log))
    try:
        yield process, log
        if process.returncode is None:
            process.terminate()
            assert 0 == await asyncio.wait_for(process.wait(), 15), "\n".join(log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def _read(process: Process, log: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        log.append(line.decode(errors="replace"))


async def test_a_queue_that_comes_late_and_a_scanner_that_is_killed(
    harness: Harness, moto: MotoSqs, database_url: str
) -> None:
    """The service stays up without its queue, and says what to do. Killed between taking in and deleting, it leaves the
    messages to the next; the ledger has each once."""
    await harness.new_run()
    world = World(harness, moto)
    await world.follow()
    async with own_topics() as prefix:
        environment = {
            "AUTOLOADER_DATABASE_URL": database_url,
            "AUTOLOADER_KAFKA_BOOTSTRAP": kafka_bootstrap(),
            "AUTOLOADER_TOPIC_PREFIX": prefix,
            "AUTOLOADER_SECRET_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "AUTOLOADER_SQS_QUEUES": json.dumps([world.url]),
            "AUTOLOADER_SQS_ENDPOINT_URL": moto.url,
            "AUTOLOADER_SQS_REGION": REGION,
            "AUTOLOADER_SQS_HOLD_S": "3",
            "AUTOLOADER_SQS_ACCESS_KEY_ID": ACCESS.aws_access_key_id,
            "AUTOLOADER_SQS_SECRET_ACCESS_KEY": ACCESS.aws_secret_access_key,
        }
        async with scanner({**environment, "AUTOLOADER_FAILPOINT": "queue.after_take"}) as (process, log):
            await eventually(lambda: any("queue.stuck" in line for line in log), START_S, what="it says so")
            [told] = [line for line in log if "queue.stuck" in line]
            assert "queue_not_found" in told
            assert "AUTOLOADER_SQS_QUEUES" in told
            assert process.returncode is None
            world.create()
            world.send(record("in/a.json"), record("in/b.json"))
            assert -signal.SIGKILL == await asyncio.wait_for(process.wait(), 60), "\n".join(log)
        assert await world.hinted()
        assert not await world.is_empty()
        async with scanner(environment):
            await eventually(world.is_empty, START_S, what="its successor takes in what is left")
        assert ["in/a.json", "in/b.json"] == await world.hinted()
