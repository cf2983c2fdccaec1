"""Each test has a folder of the bucket and tables of its own; both are gone afterwards. All need Spark and a store."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.reading.place import Place
from tests.contract.table.conftest import s3, spark
from tests.contract.table.worlds import Spark

__all__ = ["place", "s3", "spark"]


@pytest.fixture
def place(spark: Spark, s3: Any) -> Iterator[Place]:
    found = Place(spark, s3)
    yield found
    found.clean()
