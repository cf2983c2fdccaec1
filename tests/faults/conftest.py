"""What every fault case may ask for, and which of the cases a run takes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pyspark.sql.connect.session import SparkSession

from tests.faults.cases import SPARK_URL, Case, bucket
from tests.faults.mode import Mode, mode
from tests.faults.tally import Faults
from tests.support.installation import Installation, installation
from tests.support.small_disk import why_no_small_disk

# The report says why these did not run: see catalogue.py.
collect_ignore = ["test_disk_full.py"] if why_no_small_disk() else []

ROOM = "tests/faults/"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tells the report each case's number and words; leaves out, visibly, the cases that this run does not take."""
    taken: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("fault") if item.nodeid.startswith(ROOM) else None
        if marker is not None:
            item.user_properties.append(("fault", list(marker.args)))
        (taken if _is_taken(item, marker) else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = taken


def _is_taken(item: pytest.Item, marker: pytest.Mark | None) -> bool:
    match mode():
        case Mode.ALL:
            return marker is None or not marker.kwargs.get("large")
        case Mode.LARGE:
            return marker is not None and bool(marker.kwargs.get("large"))
        case Mode.QUICK:
            return marker is None or bool(marker.kwargs.get("quick"))
        case Mode.NEGATIVE:
            return marker is not None and bool(marker.kwargs.get("negative"))


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Faults:
    """Where a case counts what it did."""
    return Faults(request.node.user_properties)


@pytest.fixture(scope="session")
def s3() -> Any:
    return bucket()


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    session = SparkSession.builder.remote(SPARK_URL).create()
    yield session
    session.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def autoloader() -> AsyncIterator[Installation]:
    """One installation for all cases; each starts the services that it needs besides the API."""
    # Refreshes are answered at once: who is to carry them out may be dead or frozen.
    async with installation(settings={"AUTOLOADER_REFRESH_WAIT_S": "0"}) as started:
        if mode() is Mode.NEGATIVE:
            started.modules["executor"] = "tests.faults.negative"
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def case(autoloader: Installation, s3: Any, spark: Any, faults: Faults) -> AsyncIterator[Case]:
    case = Case(autoloader, s3, spark, faults, f"fault_{uuid4().hex[:10]}")
    yield case
    await autoloader.stop_all_but_the_api()
    await asyncio.to_thread(case.clean)
