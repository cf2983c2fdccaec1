"""One installation for the module; for each test a table of its own, whose rows name their files."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.replacing.reloading import Reloading
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
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def reloading(autoloader: Installation, spark: Any) -> AsyncIterator[Reloading]:
    async with Landing(autoloader, s3_client(), spark) as landing, Reloading.prepared(landing) as prepared:
        yield prepared
        await autoloader.stop_all_but_the_api()
