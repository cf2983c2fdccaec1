"""The API on a real database of its own; requests go through ASGI, facts through the projector.

``DATABASE_URL`` or the local stack (``make up``) provides Postgres. Each test is a tenant of its own.
"""

import asyncio
import base64
import io
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from libs.common import logs
from libs.common.storage.engine import Database
from tests.integration.api.harness import ApiUnderTest, api_under_test
from tests.support.databases import fresh_database_url

# Plain JSON lines, as in production; pytest shows them with a failing test.
logs.configure("INFO", stream=io.StringIO(), json=True)

SECRET_KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """A migrated database for the module."""
    with asyncio.Runner() as runner:
        manager = fresh_database_url()
        url = runner.run(manager.__aenter__())
        try:
            yield url
        finally:
            runner.run(manager.__aexit__(None, None, None))


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    try:
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture
async def api(database: Database) -> AsyncIterator[ApiUnderTest]:
    """One tenant's API."""
    async with api_under_test(database, SECRET_KEY, tenant_id=f"tenant-{uuid.uuid4().hex[:12]}") as api:
        yield api


@pytest_asyncio.fixture
async def neighbour(database: Database) -> AsyncIterator[ApiUnderTest]:
    """Another tenant on the same database."""
    async with api_under_test(database, SECRET_KEY, tenant_id=f"tenant-{uuid.uuid4().hex[:12]}") as api:
        yield api
