"""Databases for tests: a fresh, migrated one per test module, dropped afterwards.

The server is the one that ``make up`` starts; ``DATABASE_URL`` points at another. A test never shares tables with
another module, so modules run in parallel.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.errors import Temporary
from libs.common.storage.engine import Database, async_url
from libs.common.storage.migrate import migrate

DEFAULT_URL = "postgresql://test_user:test_password@localhost:5432/autoloader_test"


def server_url() -> str:
    """The database that tests may connect to in order to make others."""
    return os.environ.get("DATABASE_URL", DEFAULT_URL)


@asynccontextmanager
async def fresh_database_url(*, migrated: bool = True, server: str | None = None) -> AsyncIterator[str]:
    """The URL of a new database, dropped with its connections when the block ends. ``server``: any database of another
    server than the local stack's.

    Fails the test, with the remedy, when the server is away.
    """
    name = f"test_{uuid.uuid4().hex[:16]}"
    server = server or server_url()
    url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    await _on_server(server, f'CREATE DATABASE "{name}"')
    try:
        if migrated:
            database = Database(url, pool_size=1)
            try:
                await migrate(database)
            finally:
                await database.close()
        yield url
    finally:
        await _on_server(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def fresh_database(*, pool_size: int = 10) -> AsyncIterator[Database]:
    """An open, migrated database of its own."""
    async with fresh_database_url() as url:
        database = Database(url, pool_size=pool_size)
        try:
            yield database
        finally:
            await database.close()


async def _on_server(server: str, statement: str) -> None:
    engine = create_async_engine(async_url(server), isolation_level="AUTOCOMMIT", connect_args={"timeout": 5})
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    except (OSError, Temporary) as e:
        where = urlsplit(server)
        pytest.fail(f"Postgres at {where.hostname}:{where.port} is away ({e}); start the local stack with: make up")
    finally:
        await engine.dispose()
