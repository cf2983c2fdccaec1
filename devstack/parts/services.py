"""Autoloader's own three services as parts, for `up --services`.

They run the clone's code with the stack's addresses.
"""

import asyncio
import hashlib
import os
import sys

from devstack.commands import Say, run
from devstack.environment import service_environment
from devstack.health import http_answers, log_says
from devstack.part import Launch, Part, Port
from devstack.places import CLONE
from devstack.settings import PREFIX, DevSettings

READY = "service.ready"
"""The word that a service logs once it works."""


def services(settings: DevSettings) -> list[Part]:
    """The three parts. The first that comes to it migrates the database, and the others wait for that."""
    migrations = Migrations(settings)
    version = code_version()
    log = settings.state / "logs"

    def part(name: str, *needs: str, ports: tuple[Port, ...] = ()) -> Part:
        async def launch() -> Launch:
            return Launch((sys.executable, "-m", f"services.{name}"), environment(settings), CLONE)

        async def is_ready() -> bool:
            if ports:
                return await http_answers(f"{settings.api_url}/api/v1/health/live")
            return await log_says(log / f"{name}.log", READY)

        return Part(
            name=name,
            version=version,
            launch=launch,
            check=is_ready,
            ports=ports,
            needs=("postgres", "kafka", *needs),
            prepare=migrations.apply,
            start_deadline_s=60,
            stop_deadline_s=30,
        )

    return [
        part("api", ports=(Port(settings.api_port, f"{PREFIX}API_PORT"),)),
        part("scanner", "minio"),
        part("executor", "minio", "spark"),
    ]


def code_version() -> str:
    """A short digest of the services' code: `up` restarts a service that runs an older one."""
    digest = hashlib.sha256()
    for folder in ("libs", "services"):
        for path in sorted((CLONE / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return f"code {digest.hexdigest()[:8]}"


class Migrations:
    """Applied once per `up`, before the first service starts."""

    def __init__(self, settings: DevSettings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._done = False

    async def apply(self, say: Say) -> None:
        """Bring the database's tables up to date; at the second call there is nothing left to do."""
        async with self._lock:
            if self._done:
                return
            say("migrating the database")
            command = [sys.executable, "-m", "libs.common.storage.migrate"]
            await run("migrating the database", command, environment=environment(self._settings), directory=CLONE)
            self._done = True


def environment(settings: DevSettings) -> dict[str, str]:
    """The caller's environment, so that a developer can set more, under the stack's own addresses."""
    return {**os.environ, **service_environment(settings), "PYTHONUNBUFFERED": "1"}
