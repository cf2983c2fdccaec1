"""Words that tests of every kind are marked with."""

import pytest

MARKERS = (
    "e2e: a user's story on the running stack, through REST and topics only",
    "requires_spark: needs Spark Connect with the Iceberg catalogs of deploy/spark-defaults.conf",
    "requires_minio: needs the object store",
    "slow: takes more than 30 seconds",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
