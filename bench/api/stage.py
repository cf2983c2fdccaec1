"""Where the API is measured: the API alone on one core, and all that it needs or that loads it on another.

The database and the broker are servers of the bench's own, so that they can be kept off the API's core: a process runs
where the one that started it did. No scanner and no executor runs: requests are accepted and announced, and nobody acts
upon them.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import asyncpg  # type: ignore[import-untyped, unused-ignore]
import psutil

from tests.support.installation import Installation, installation
from tests.support.own_broker import own_broker
from tests.support.own_postgres import own_postgres

API_CORE, OTHER_CORE = 0, 1
# As often as it does where nobody says otherwise. Tests have it look each second, and since no scanner takes the runs,
# each look would ask for a hundred of them again.
_SETTINGS = {"AUTOLOADER_SWEEP_INTERVAL_S": "10"}

_INGESTIONS = """
INSERT INTO control.ingestion (id, tenant_id, status, definition, created_by)
SELECT gen_random_uuid(), tenant_id, status,
       jsonb_set(definition, '{name}', to_jsonb(definition->>'name' || '_' || gen_random_uuid())), created_by
FROM control.ingestion, generate_series(1, $2) WHERE id = $1 RETURNING id
"""
_RUNS = """
INSERT INTO control.run
  (id, ingestion_id, tenant_id, generation, trigger, definition_version, definition, dispatched_at)
SELECT gen_random_uuid(), id, tenant_id, 1, 'manual', 1, definition, now()
FROM control.ingestion WHERE id = ANY($1) RETURNING id, ingestion_id
"""


@dataclass
class Stage:
    """``connection`` is the bench's own, to the same database."""

    autoloader: Installation
    connection: Any
    pattern_id: UUID
    """An ingestion that all others are copies of."""

    @property
    def api(self) -> psutil.Process:
        return psutil.Process(self.autoloader.running[0].process.pid)

    @property
    def url(self) -> str:
        return f"{str(self.autoloader.client.base_url).rstrip('/')}/api/v1/ingestions"

    async def ingestions(self, count: int) -> list[UUID]:
        """New ones, for which no run was ever asked."""
        return [row["id"] for row in await self.connection.fetch(_INGESTIONS, self.pattern_id, count)]

    async def runs(self, count: int) -> list[tuple[UUID, UUID]]:
        """New ones that were sent off, each of an ingestion of its own: (run, ingestion)."""
        made = await self.connection.fetch(_RUNS, await self.ingestions(count))
        return [(row["id"], row["ingestion_id"]) for row in made]

    async def is_all_sent(self) -> bool:
        """Whether the outbox is empty."""
        return not await self.connection.fetchval("SELECT EXISTS (SELECT FROM control.outbox)")

    async def rested(self) -> None:
        """Nothing is left of the last measurement that would cost the next one: Postgres knows its tables' sizes, and
        has written what it had to."""
        await self.connection.execute("VACUUM ANALYZE")
        await self.connection.execute("CHECKPOINT")


def cpu_s(process: psutil.Process) -> float:
    """What a process has used so far, of all cores together."""
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def stage(settings: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """``settings`` are environment variables of the API."""
    async with AsyncExitStack() as stack:
        _stand_on(OTHER_CORE)
        postgres = await stack.enter_async_context(own_postgres(stack.enter_context(_open_folder())))
        broker = await stack.enter_async_context(own_broker())
        _stand_on(API_CORE)
        autoloader = await stack.enter_async_context(
            installation(postgres=postgres.url, kafka=broker.bootstrap, settings={**_SETTINGS, **(settings or {})})
        )
        _stand_on(OTHER_CORE)
        connection = await asyncpg.connect(autoloader.environment["DATABASE_URL"], ssl=False)
        stack.push_async_callback(connection.close)
        made = await autoloader.post(
            "",
            name="bench",
            cluster_id="local",
            source={"path": "s3://bench/data/", "file_pattern": "*.json"},
            destination={"catalog": "test_catalog", "database": "bench", "table": "bench"},
        )
        yield Stage(autoloader, connection, UUID(made["id"]))


@contextmanager
def _open_folder() -> Iterator[Path]:
    """One that the unprivileged user of a Postgres may enter."""
    with TemporaryDirectory(prefix="autoloader-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _stand_on(core: int) -> None:
    os.sched_setaffinity(0, {core})
