"""Each test runs on the ledger in memory and on Postgres; one database serves a module."""

import pytest

from tests.contract.ledger.worlds import MemoryWorld, PostgresWorld, World


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    return PostgresWorld(request.getfixturevalue("database"))
