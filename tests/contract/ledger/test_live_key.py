"""I1 where no code can break it: Postgres itself refuses a second live version of a key."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from libs.common.ledger.states import LIVE_FILE_STATES, FileState
from libs.common.ledger.tables import file
from libs.common.storage.engine import Database

pytestmark = pytest.mark.contract


def row(ingestion_id: Any, tag: str, state: FileState, *, generation: int = 1) -> dict[str, Any]:
    return {
        "ingestion_id": ingestion_id,
        "generation": generation,
        "key_digest": b"digest",
        "version_tag": tag,
        "bucket": "landing",
        "key": "a",
        "etag": tag,
        "size_bytes": 1,
        "last_modified": datetime(2025, 1, 7, tzinfo=UTC),
        "state": state,
        "run_id": uuid4(),
    }


async def insert(database: Database, *rows: dict[str, Any]) -> None:
    async with database.begin() as connection:
        for each in rows:
            await connection.execute(file.insert().values(**each))


@pytest.mark.parametrize("first", sorted(LIVE_FILE_STATES))
@pytest.mark.parametrize("second", sorted(LIVE_FILE_STATES))
async def test_a_second_live_version_of_a_key_is_refused(
    database: Database, first: FileState, second: FileState
) -> None:
    """Whatever two states they are in."""
    ingestion = uuid4()
    await insert(database, row(ingestion, "v1", first))
    with pytest.raises(IntegrityError, match="uq_file_live_key"):
        await insert(database, row(ingestion, "v2", second))


@pytest.mark.parametrize("second", sorted(LIVE_FILE_STATES))
async def test_a_version_beside_those_that_it_overwrote_is_let_in_once(database: Database, second: FileState) -> None:
    """``allow_overwrites: append``. Of those that are marked as overwritten there may be any number."""
    ingestion = uuid4()
    marked = [row(ingestion, f"v{n}", FileState.COMMITTED) | {"overwritten": True} for n in range(3)]
    await insert(database, *marked, row(ingestion, "v3", second))
    with pytest.raises(IntegrityError, match="uq_file_live_key"):
        await insert(database, row(ingestion, "v4", FileState.DISCOVERED))


async def test_dead_versions_and_other_generations_are_not_in_the_way(database: Database) -> None:
    """History may be long, and a refresh begins anew."""
    ingestion = uuid4()
    dead = [row(ingestion, f"v{n}", state) for n, state in enumerate(sorted(set(FileState) - LIVE_FILE_STATES))]
    await insert(database, *dead, row(ingestion, "live", FileState.COMMITTED))
    await insert(database, row(ingestion, "live", FileState.COMMITTED, generation=2))
