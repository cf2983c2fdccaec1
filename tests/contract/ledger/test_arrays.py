"""Rows of values come to Postgres as arrays, and are the same rows there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import BigInteger, DateTime, LargeBinary, Text, select

from libs.common.ledger.arrays import Columns, arrays_of, given_rows, rows_of
from libs.common.storage.engine import Database

pytestmark = pytest.mark.contract
COLUMNS: Columns = {"digest": LargeBinary(), "size": BigInteger(), "at": DateTime(timezone=True), "words": Text()}


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(b"\x00\xff", 2**40, datetime(2025, 1, 7, 12, tzinfo=UTC), 'a "b", {c}\\n')],
        [(b"", 0, datetime(1970, 1, 1, tzinfo=UTC), None), (b"x", -1, None, ""), (None, None, None, "NULL")],
    ],
    ids=["none", "one", "with nulls"],
)
async def test_rows_arrive_as_they_are(database: Database, rows: list[Any]) -> None:
    """Bytes, quotes, and what is not there."""
    async with database.read() as connection:
        arrived = await connection.execute(select(rows_of("given", COLUMNS, rows)))
        assert rows == [tuple(row) for row in arrived]


async def test_rows_of_different_lengths_are_refused() -> None:
    """A value that is missing would move all that come after it."""
    with pytest.raises(ValueError, match="zip"):
        rows_of("given", COLUMNS, [(b"", 0, None, None), (b"", 0, None)])


async def test_a_statement_that_is_built_once_takes_any_rows(database: Database) -> None:
    """Given when it is executed, not when it is built."""
    query = select(given_rows("given", COLUMNS))
    async with database.read() as connection:
        for rows in ([], [(b"a", 1, None, "x")], [(b"b", 2, None, None), (None, 3, None, "")]):
            arrived = await connection.execute(query, arrays_of("given", COLUMNS, rows))
            assert rows == [tuple(row) for row in arrived]
