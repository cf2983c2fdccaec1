"""Each test runs on the ledger in memory and on Postgres; one database serves a module."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from libs.common.storage.engine import Database
from tests.contract.ledger.worlds import MemoryWorld, PostgresWorld, World
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


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    return PostgresWorld(request.getfixturevalue("database"))
