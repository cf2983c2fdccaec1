"""The history of one generation, as another one begins with it. Statements of ``refreshes.py``'s transactions.

It may have millions of files, and a transaction may take half a minute: so it goes in parts, each in a transaction of
its own, and a part may be repeated.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, literal, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.model.refreshes import RefreshClaim
from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.ledger.swaps import take_over_bad_records
from libs.common.ledger.tables import batch, file, replacement, schema_version

FILES_AT_ONCE = 20_000
Position = tuple[bytes, str]
"""A file version's place in the ledger's order: key digest and version tag."""
_NOT_CARRIED = frozenset({"generation", "state", "batch_id", "row_count", "error_type", "error_message", "updated_at"})
_POSITION = tuple_(file.c.key_digest, file.c.version_tag)


async def carry(
    connection: AsyncConnection, claim: RefreshClaim, *, after: Position | None, limit: int
) -> Position | None:
    """Gives the claim's new generation the next ``limit`` files of what it begins with. Returns where that part ended;
    None when it was the last."""
    if claim.kept is not None:
        return await _renumber(connection, claim, claim.kept.generation, after, limit)
    if claim.mode == "new_only":
        return await _carry_baseline(connection, claim, after, limit)
    return None


async def count_loaded(connection: AsyncConnection, ingestion_id: UUID, generation: int) -> int:
    """Files that count as loaded in this generation."""
    loaded = select(func.count()).select_from(file).where(*_loaded(ingestion_id, generation))
    return int(await connection.scalar(loaded) or 0)


async def _carry_baseline(
    connection: AsyncConnection, claim: RefreshClaim, after: Position | None, limit: int
) -> Position | None:
    """What the old generation had loaded counts as loaded in the new one, whose table has none of those rows."""
    of = _loaded(claim.ingestion_id, claim.from_generation)
    last = await _end_of_part(connection, of, after, limit)
    carried = [c for c in file.c if c.name not in _NOT_CARRIED]
    values: dict[str, ColumnElement[Any]] = {
        "generation": literal(claim.to_generation),
        "state": literal(FileState.BASELINE.value),
        **{c.name: c for c in carried},
    }
    known = select(*(value.label(name) for name, value in values.items())).where(*of, *_between(after, last))
    await connection.execute(insert(file).from_select(list(values), known).on_conflict_do_nothing())
    return last


async def _renumber(
    connection: AsyncConnection, claim: RefreshClaim, old: int, after: Position | None, limit: int
) -> Position | None:
    """What is known of ``old`` is known of the new generation, whose table holds its rows. All batches of ``old`` have
    ended; the wap ids that the table has of them keep the number that they were planned with. If one snapshot holds all
    of the rows, their batches stay behind: the files are in that one."""
    of = (and_(file.c.ingestion_id == claim.ingestion_id, file.c.generation == old),)
    last = await _end_of_part(connection, of, after, limit)
    new: dict[str, Any] = {"generation": claim.to_generation}
    in_one = case((file.c.state == FileState.COMMITTED, claim.id), else_=file.c.batch_id)
    moved = new | {"batch_id": in_one} if claim.replaces_all else new
    if claim.replaces_all:
        await take_over_bad_records(connection, claim, *of, *_between(after, last))
    await connection.execute(update(file).where(*of, *_between(after, last)).values(moved))
    if last is None:
        for table in (replacement, schema_version) if claim.replaces_all else (replacement, batch, schema_version):
            is_old = and_(table.c.ingestion_id == claim.ingestion_id, table.c.generation == old)
            await connection.execute(update(table).where(is_old).values(new))
    return last


async def _end_of_part(
    connection: AsyncConnection, of: tuple[ColumnElement[bool], ...], after: Position | None, limit: int
) -> Position | None:
    """The position of the ``limit``-th file after ``after``; None if there are not so many."""
    query = select(file.c.key_digest, file.c.version_tag).where(*of, *_between(after, None))
    found = await connection.execute(query.order_by(file.c.key_digest, file.c.version_tag).offset(limit - 1).limit(1))
    row = found.one_or_none()
    return None if row is None else (bytes(row.key_digest), row.version_tag)


def _between(after: Position | None, last: Position | None) -> tuple[ColumnElement[bool], ...]:
    return (
        true() if after is None else _POSITION > after,
        true() if last is None else _POSITION <= last,
    )


def _loaded(ingestion_id: UUID, generation: int) -> tuple[ColumnElement[bool], ...]:
    return (
        and_(file.c.ingestion_id == ingestion_id, file.c.generation == generation),
        file.c.state.in_(LOADED_FILE_STATES),
    )
