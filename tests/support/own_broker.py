"""A Kafka broker of a test's own, that may be killed and started again.

async with own_broker() as broker:
    async with installation(kafka=broker.bootstrap) as autoloader:
        await broker.kill()
        ...
        await broker.start()
"""

import asyncio
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from devstack.commands import quiet
from devstack.part import Part
from devstack.parts.kafka import kafka
from devstack.settings import DevSettings
from tests.support.eventually import eventually
from tests.support.installation import START_S, free_port


@dataclass
class OwnBroker:
    """Keeps its data and its address over a restart."""

    bootstrap: str
    part: Part
    process: Process | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Returns when it answers."""
        launch = await self.part.launch()
        self.process = await asyncio.create_subprocess_exec(
            *map(str, launch.command),
            cwd=launch.directory,
            env=dict(launch.environment),
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        await eventually(self.part.check, START_S, what="the broker answers")

    async def kill(self) -> None:
        """kill -9. May be called twice."""
        if self.process is not None and self.is_running:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def own_broker(state: Path | None = None) -> AsyncIterator[OwnBroker]:
    """A running broker, with an empty log; both are gone afterwards. ``state``: an existing folder for the log."""
    with TemporaryDirectory() as folder:
        settings = DevSettings(
            kafka_port=free_port(), kafka_controller_port=free_port(), kafka_memory="256m", state=state or Path(folder)
        )
        broker = OwnBroker(settings.kafka_bootstrap, kafka(settings))
        await broker.part.fetch(quiet)
        await broker.part.prepare(quiet)
        try:
            await broker.start()
            yield broker
        finally:
            await broker.kill()
