"""One installation with all three services for the module; a folder and a table of its own for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.installation import Installation, installation
from tests.support.landing import Landing, s3_client, spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    session = spark_session()
    yield session
    session.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        await asyncio.gather(started.start("scanner"), started.start("executor"))
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def landing(autoloader: Installation, spark: Any) -> AsyncIterator[Landing]:
    async with Landing(autoloader, s3_client(), spark) as landing:
        yield landing
