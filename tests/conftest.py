"""What tests of several folders ask for: databases of their own, and examples that are the same in every run."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import settings

from libs.common.storage.engine import Database
from tests.support.databases import fresh_database_url

# A gate judges the change, and does not look for new examples: that is what ``make property`` is for.
# Properties are judged by what they find, not by how busy the machine is.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile("gate")


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
    """It, open."""
    opened = Database(database_url)
    try:
        yield opened
    finally:
        await opened.close()
