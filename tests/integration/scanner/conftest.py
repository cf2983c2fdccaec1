"""One database serves a module; each test has an ingestion of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from libs.common import failpoints
from libs.common.storage.engine import Database
from tests.integration.scanner.harness import Harness
from tests.support.databases import fresh_database_url


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with asyncio.Runner() as runner:
        made = fresh_database_url()
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def harness(database: Database) -> Iterator[Harness]:
    yield Harness(database)
    failpoints.arm(None)
