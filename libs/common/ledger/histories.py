"""The history of one generation, as another one begins with it. Statements of ``refreshes.py``'s transactions; each may
be repeated."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.ledger.tables import batch, file, schema_version

_NOT_CARRIED = frozenset({"generation", "state", "batch_id", "row_count", "error_type", "error_message", "updated_at"})


async def carry_baseline(connection: AsyncConnection, ingestion_id: UUID, old: int, new: int) -> None:
    """What ``old`` had loaded counts as loaded in ``new``, whose table has none of those rows."""
    carried = [c for c in file.c if c.name not in _NOT_CARRIED]
    values: dict[str, ColumnElement[Any]] = {
        "generation": literal(new),
        "state": literal(FileState.BASELINE.value),
        **{c.name: c for c in carried},
    }
    known = select(*(value.label(name) for name, value in values.items())).where(*_loaded(ingestion_id, old))
    await connection.execute(insert(file).from_select(list(values), known).on_conflict_do_nothing())


async def renumber(connection: AsyncConnection, ingestion_id: UUID, old: int, new: int) -> None:
    """What is known of ``old`` is known of ``new``, whose table holds its rows. All batches of ``old`` have ended; the
    wap ids that the table has of them keep the number that they were planned with."""
    for table in (file, batch, schema_version):
        await connection.execute(
            update(table).where(table.c.ingestion_id == ingestion_id, table.c.generation == old).values(generation=new)
        )


async def count_loaded(connection: AsyncConnection, ingestion_id: UUID, generation: int) -> int:
    """Files that count as loaded in this generation."""
    loaded = select(func.count()).select_from(file).where(*_loaded(ingestion_id, generation))
    return int(await connection.scalar(loaded) or 0)


def _loaded(ingestion_id: UUID, generation: int) -> tuple[ColumnElement[bool], ...]:
    return (
        and_(file.c.ingestion_id == ingestion_id, file.c.generation == generation),
        file.c.state.in_(LOADED_FILE_STATES),
    )
