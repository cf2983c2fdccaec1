"""A ledger of many files in a database of its own, and the files that it knows."""

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.ids import IngestionId
from libs.common.ledger.model.files import FileVersion
from libs.common.storage.engine import Database, async_url
from libs.common.storage.migrate import migrate

INGESTION, GENERATION = IngestionId(UUID(int=7)), 1
_BUCKET = "my-company-landing-bucket"
_BEGAN = datetime(2025, 1, 7, tzinfo=UTC)
_SERVER = "postgresql://test_user:test_password@localhost:5432/autoloader_test"
_AT_ONCE = 250_000

# As ``files`` makes them, in the database: Python would take ten times as long.
_FILL = text(
    """
    INSERT INTO ledger.file (
        ingestion_id, generation, key_digest, version_tag, bucket, key, etag, size_bytes, last_modified, state, run_id,
        batch_id, row_count
    )
    SELECT
        :ingestion_id, :generation,
        sha256(convert_to(CAST(:bucket AS text), 'UTF8') || '\\x00'::bytea || key::bytea),
        etag || ':' || size, CAST(:bucket AS text), key, etag, size,
        CAST(:began AS timestamptz) + i * interval '1 second', 'committed',
        md5('run' || i / 100000)::uuid, md5('batch' || i / 1000)::uuid, 1000
    FROM (
        SELECT
            i, 10000 + i % 100000 AS size, md5(i::text) AS etag,
            format('landing/tenant-0042/events/year=2025/month=%s/day=%s/part-%s-c000.snappy.json',
                lpad((i / 100000 % 12 + 1)::text, 2, '0'), lpad((i / 3000 % 28 + 1)::text, 2, '0'),
                lpad(i::text, 8, '0')) AS key
        FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS i
    ) AS made
    """
)


def files(first: int, end: int) -> Iterator[FileVersion]:
    """The files with these numbers."""
    for i in range(first, end):
        day = f"year=2025/month={i // 100_000 % 12 + 1:02}/day={i // 3000 % 28 + 1:02}"
        key = f"landing/tenant-0042/events/{day}/part-{i:08}-c000.snappy.json"
        etag = hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest()
        yield FileVersion(_BUCKET, key, etag, 10_000 + i % 100_000, _BEGAN + timedelta(seconds=i))


@asynccontextmanager
async def filled(count: int) -> AsyncIterator[Database]:
    """A ledger in which the first ``count`` files are loaded. Its database is dropped at the end."""
    server, name = os.environ.get("DATABASE_URL", _SERVER), f"bench_ledger_{uuid4().hex[:8]}"
    await _on_server(server, f"CREATE DATABASE {name}")
    database = Database(urlunsplit(urlsplit(server)._replace(path=f"/{name}")), transaction_s=300)
    try:
        await migrate(database)
        for first in range(0, count, _AT_ONCE):
            last = min(first + _AT_ONCE, count) - 1
            values = {"bucket": _BUCKET, "began": _BEGAN, "first": first, "last": last}
            async with database.begin() as connection:
                await connection.execute(_FILL, {"ingestion_id": INGESTION, "generation": GENERATION, **values})
        await vacuum(database)
        yield database
    finally:
        await database.close()
        await _on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


async def vacuum(database: Database) -> None:
    """As autovacuum does when it comes by."""
    async with database.engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("VACUUM (ANALYZE) ledger.file"))


async def _on_server(server: str, statement: str) -> None:
    engine = create_async_engine(async_url(server), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()
