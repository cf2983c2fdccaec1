"""One database serves a module; each test has an ingestion of its own."""

from collections.abc import Iterator

import pytest

from libs.common import failpoints
from libs.common.storage.engine import Database
from tests.integration.scanner.harness import Harness
from tests.support.moto_sqs import MotoSqs, moto_sqs


@pytest.fixture
def harness(database: Database) -> Iterator[Harness]:
    yield Harness(database)
    failpoints.arm(None)


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoSqs]:
    """Amazon's queues, for the tests of a module."""
    with moto_sqs() as server:
        yield server
