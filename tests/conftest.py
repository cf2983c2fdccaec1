"""What tests of several folders ask for: databases of their own, examples that are the same in every run, and an order
in which they get on together."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import zip_longest

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


_WAITS = ("tests/e2e/", "tests/faults/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stories wait for services most of the time, and other tests keep the cores busy: side by side, by file, both are
    done earlier than one kind after the other."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.split("::")[0], []).append(item)
    stories = [file for file in files if file.startswith(_WAITS)]
    others = [file for file in files if not file.startswith(_WAITS)]
    pairs = zip_longest(stories, others)
    items[:] = [item for pair in pairs for file in pair if file is not None for item in files[file]]


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
