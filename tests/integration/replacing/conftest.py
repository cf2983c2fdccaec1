"""An installation of each test's own, with a table whose rows name their files."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.replacing.reloading import Reloading
from tests.support.installation import installation
from tests.support.landing import Landing, s3_client, spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    session = spark_session()
    yield session
    session.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def reloading(spark: Any) -> AsyncIterator[Reloading]:
    async with (
        installation() as autoloader,
        Landing(autoloader, s3_client(), spark) as landing,
        Reloading.prepared(landing) as prepared,
    ):
        yield prepared
