"""The API on a real database of its own; requests go through ASGI, facts through the projector.

``DATABASE_URL`` or the local stack (``make up``) provides Postgres. Each test is a tenant of its own.
"""

import base64
import io
import socket
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from libs.common import logs
from libs.common.storage.engine import Database
from tests.integration.api.harness import ApiUnderTest, api_under_test

# Plain JSON lines, as in production; pytest shows them with a failing test.
logs.configure("INFO", stream=io.StringIO(), json=True)

SECRET_KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


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
