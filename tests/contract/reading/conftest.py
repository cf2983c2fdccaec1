"""Each test has a folder of the bucket and tables of its own; both are gone afterwards. All need Spark and a store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest_asyncio

from libs.common.objects.s3 import S3Objects
from services.executor.adapters.describing.description import Parts
from tests.contract.reading.place import Place
from tests.contract.table.conftest import ACCESS, s3, spark
from tests.contract.table.worlds import Spark

__all__ = ["place", "s3", "shared_place", "spark"]


@asynccontextmanager
async def _place(spark: Spark, s3: Any) -> AsyncIterator[Place]:
    objects = S3Objects()
    found = Place(spark, s3, Parts(objects, ACCESS))
    yield found
    found.clean()
    await objects.close()


@pytest_asyncio.fixture
async def place(spark: Spark, s3: Any) -> AsyncIterator[Place]:
    async with _place(spark, s3) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_place(spark: Spark, s3: Any) -> AsyncIterator[Place]:
    """One for all cells of a matrix, so that many of them can be loaded at once."""
    async with _place(spark, s3) as found:
        yield found
