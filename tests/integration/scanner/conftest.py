"""One database serves a module; each test has an ingestion of its own."""

from collections.abc import Iterator

import pytest

from libs.common import failpoints
from libs.common.storage.engine import Database
from tests.integration.scanner.harness import Harness


@pytest.fixture
def harness(database: Database) -> Iterator[Harness]:
    yield Harness(database)
    failpoints.arm(None)
