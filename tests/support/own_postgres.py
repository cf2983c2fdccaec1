"""A Postgres server of a test's own, that may panic, be killed and be started again.

async with own_postgres(folder) as postgres:
    async with installation(postgres=postgres.url) as autoloader:
        ...
"""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg  # type: ignore[import-untyped, unused-ignore]

from devstack.commands import quiet
from devstack.part import Part
from devstack.parts.postgres import postgres
from devstack.settings import DevSettings
from tests.support.eventually import eventually
from tests.support.installation import START_S, free_port


@dataclass
class OwnPostgres:
    """Keeps its data and its address over a restart. ``url`` is a database to make others from."""

    url: str
    part: Part
    process: Process | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Returns when it answers. As a supervisor does: a server that ends by itself is started again."""

        async def answers() -> bool:
            if not self.is_running:
                await self._launch()
            return await self.part.check()

        await eventually(answers, START_S, what="Postgres answers")

    async def _launch(self) -> None:
        launch = await self.part.launch()
        self.process = await asyncio.create_subprocess_exec(
            *map(str, launch.command),
            cwd=launch.directory,
            env=dict(launch.environment),
            stdout=DEVNULL,
            stderr=DEVNULL,
            **(launch.user.process_arguments() if launch.user else {}),
        )

    async def write_wal(self, size_mb: int) -> None:
        """So much goes into the log, and nothing into a table.

        Raises:
            PostgresError, OSError: the server did not survive it.
        """
        connection = await asyncpg.connect(self.url, ssl=False)
        try:
            for _ in range(size_mb):
                await connection.execute("SELECT pg_logical_emit_message(false, 'ballast', repeat('x', 1024 * 1024))")
        finally:
            connection.terminate()

    async def stop(self) -> None:
        """With its children; immediately, since nobody needs its data any more."""
        if self.process is not None and self.is_running:
            self.process.send_signal(signal.SIGQUIT)
            await self.process.wait()


@asynccontextmanager
async def own_postgres(state: Path) -> AsyncIterator[OwnPostgres]:
    """A running server with its data in ``state``."""
    settings = DevSettings(postgres_port=free_port(), state=state)
    server = OwnPostgres(settings.database_url, postgres(settings))
    await server.part.fetch(quiet)
    await server.part.prepare(quiet)
    try:
        await server.start()
        await server.part.finish(quiet)
        yield server
    finally:
        await server.stop()
