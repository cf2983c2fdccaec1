"""A Spark Connect server of a test's own, that may be killed. Its tables are those of the local stack.

async with spark_server(catalog_port=postgres.port) as spark:
    await spark.kill()
    await spark.start()
"""

import asyncio
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.parts.spark import spark
from devstack.settings import DevSettings
from tests.support.eventually import eventually
from tests.support.installation import START_S, free_port

# What passes when the executor asks for these, as far as the wire shows it.
STAGE = b"snapshot-property"
PUBLISH = b"cherrypick_snapshot"
PUBLISHED = b"current_snapshot_id"
CATALOG_COMMIT = b".metadata.json"


@dataclass
class SparkServer:
    """``port`` stays the same over restarts."""

    settings: DevSettings
    process: Process | None = None

    @property
    def port(self) -> int:
        return self.settings.spark_port

    async def start(self) -> None:
        """Returns when the server answers."""
        part = spark(self.settings)
        launch = await part.launch()
        log = (self.settings.folder("logs") / "spark.log").open("ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                *map(str, launch.command), cwd=launch.directory, env=launch.environment, stdout=log, stderr=log
            )
        await eventually(part.check, 2 * START_S, what="Spark answers")

    async def kill(self) -> None:
        """kill -9, and gone."""
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
            self.process = None


@asynccontextmanager
async def spark_server(*, catalog_port: int, state: Path | None = None) -> AsyncIterator[SparkServer]:
    """A running server, whose catalog is reached at this port of the machine. ``state``: an existing folder for its
    scratch files (``spark.local.dir``)."""
    with tempfile.TemporaryDirectory(prefix="autoloader-spark-") as folder:
        server = SparkServer(
            DevSettings(
                spark_port=free_port(),
                spark_ui_port=free_port(),
                spark_memory="1g",
                postgres_port=catalog_port,
                state=state or Path(folder),
            )
        )
        await server.start()
        try:
            yield server
        finally:
            await server.kill()
