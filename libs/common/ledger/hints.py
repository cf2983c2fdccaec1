"""Hints in the ledger: keys that notifications named, and that no scan has looked at since.

A hint is written before its notification is acknowledged, and removed in the transaction that ends the scan that has
looked. In between any number of scanners may die: the next one reads it again. ``hinted`` sums up what waits for each
ingestion, so that the question of what is due stays cheap; whoever changes an ingestion's hints holds its row first.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    LargeBinary,
    Table,
    Text,
    Uuid,
    and_,
    cast,
    column,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from libs.common.ledger.model.hints import Hint, HintedKey
from libs.common.ledger.tables import SCHEMA, storable
from libs.common.storage.engine import Database
from libs.common.storage.metadata import metadata

hint = Table(
    "hint",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True, comment="sha256(bucket NUL key)"),
    Column("key", Text, nullable=False),
    Column("seq", BigInteger, nullable=False, comment="in the order of commits; anew when it is noticed again"),
    Column("size_bytes", BigInteger, nullable=False, comment="as its first notification says; 0 if it does not"),
    Column("event_time", DateTime(timezone=True), comment="as its latest notification says"),
    Column("noticed_at", DateTime(timezone=True), nullable=False, comment="when it was noticed first"),
    Index("ix_hint_seq", "ingestion_id", "seq"),
    schema=SCHEMA,
    comment="Keys that notifications named, until a scan has looked at them.",
)

hinted = Table(
    "hinted",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("last_seq", BigInteger, nullable=False, server_default="0", comment="given to the latest hint"),
    Column("files", BigInteger, nullable=False, server_default="0", comment="hints that wait"),
    Column("size_bytes", BigInteger, nullable=False, server_default="0", comment="of those hints"),
    Column("first_at", DateTime(timezone=True), comment="when the oldest of them was noticed; null: none waits"),
    schema=SCHEMA,
    comment="What waits in ledger.hint, per ingestion. The row stays: it numbers the hints.",
)

_TOLD = (hint.c.ingestion_id, hint.c.key_digest, hint.c.key, hint.c.seq, hint.c.size_bytes, hint.c.event_time)


class Hints:
    """Takes hints in. One instance per process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, hints: Sequence[Hint]) -> None:
        """All of them, in one transaction; when it returns they are durable. Adding a hint again changes nothing but
        its number.

        Raises:
            Temporary: code ``database_unavailable``; the hints may be there all the same.
        """
        latest = {(h.ingestion_id, h.digest): h for h in hints}
        if latest:
            async with self._database.begin() as connection:
                await _add(connection, latest.values())


async def _add(connection: AsyncConnection, hints: Collection[Hint]) -> None:
    last_seq = await _hold(connection, sorted({h.ingestion_id for h in hints}))
    rows: list[tuple[Any, ...]] = []
    for h in hints:
        last_seq[h.ingestion_id] += 1
        seq = last_seq[h.ingestion_id]
        rows.append((h.ingestion_id, h.digest, storable(h.key), seq, h.size_bytes or 0, h.event_time))
    new: Counter[UUID] = Counter()
    new_bytes: Counter[UUID] = Counter()
    for row in await connection.execute(_upsert(rows)):
        new[row.ingestion_id] += row.is_new
        new_bytes[row.ingestion_id] += row.is_new * row.size_bytes
    for ingestion_id, seq in last_seq.items():
        await connection.execute(
            update(hinted)
            .where(hinted.c.ingestion_id == ingestion_id)
            .values(
                last_seq=seq,
                files=hinted.c.files + new[ingestion_id],
                size_bytes=hinted.c.size_bytes + new_bytes[ingestion_id],
                first_at=func.coalesce(hinted.c.first_at, func.clock_timestamp()),
            )
        )


def _upsert(rows: Sequence[tuple[Any, ...]]) -> ReturningInsert[Any]:
    """``rows`` as ``_TOLD`` names them. One array for each column: the statement is the same for however many."""
    arrays = [cast(list(values), ARRAY(c.type)) for c, values in zip(_TOLD, zip(*rows, strict=True), strict=True)]
    told = func.unnest(*arrays).table_valued(*(column(c.name, c.type) for c in _TOLD), name="told").render_derived()
    statement = insert(hint).from_select([*_TOLD, hint.c.noticed_at], select(*told.c, func.clock_timestamp()))
    return statement.on_conflict_do_update(
        index_elements=[hint.c.ingestion_id, hint.c.key_digest],
        # Size and time of the first notification stay: the sums are made of them.
        set_={"seq": statement.excluded.seq, "event_time": statement.excluded.event_time},
    ).returning(hint.c.ingestion_id, hint.c.size_bytes, literal_column("xmax = 0").label("is_new"))


async def _hold(connection: AsyncConnection, ingestion_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Until the transaction ends nobody else changes the hints of these ingestions: numbers are committed in their
    order. The last number of each. Everybody takes the rows in one order, so nobody waits in a circle."""
    first = insert(hinted).values([{"ingestion_id": each} for each in ingestion_ids])
    await connection.execute(first.on_conflict_do_nothing())
    query = select(hinted.c.ingestion_id, hinted.c.last_seq).where(hinted.c.ingestion_id.in_(ingestion_ids))
    rows = await connection.execute(query.order_by(hinted.c.ingestion_id).with_for_update())
    return {row.ingestion_id: row.last_seq for row in rows}


async def newest(connection: AsyncConnection, ingestion_id: UUID) -> int:
    """The number of the latest hint that is there: every hint up to it can be seen now, and none comes below it."""
    return int(await connection.scalar(select(hinted.c.last_seq).where(hinted.c.ingestion_id == ingestion_id)) or 0)


async def keys(
    connection: AsyncConnection, ingestion_id: UUID, *, after: int, through: int, limit: int
) -> list[HintedKey]:
    """Hints with a number above ``after``, up to ``through``, in their order."""
    query = (
        select(hint.c.seq, hint.c.key)
        .where(hint.c.ingestion_id == ingestion_id, hint.c.seq > after, hint.c.seq <= through)
        .order_by(hint.c.seq)
        .limit(limit)
    )
    return [HintedKey(row.seq, row.key) for row in await connection.execute(query)]


async def noticed(connection: AsyncConnection, ingestion_id: UUID, digests: Sequence[bytes]) -> set[bytes]:
    """Which of these keys wait for a scan, because a notification named them."""
    query = select(hint.c.key_digest).where(
        hint.c.ingestion_id == ingestion_id, hint.c.key_digest == func.any(list(digests))
    )
    return {bytes(digest) for digest in await connection.scalars(query)}


async def settle(connection: AsyncConnection, ingestion_id: UUID, through: int, *, kept: Sequence[bytes] = ()) -> None:
    """A scan has looked at everything up to this number. What was noticed since, again or for the first time, stays; so
    do the keys with the digests ``kept``, as if they were noticed now."""
    await _hold(connection, [ingestion_id])
    looked_at = and_(hint.c.ingestion_id == ingestion_id, hint.c.seq <= through)
    is_kept = hint.c.key_digest == func.any(list(kept))
    await connection.execute(delete(hint).where(looked_at, ~is_kept))
    if kept:
        await connection.execute(update(hint).where(looked_at, is_kept).values(noticed_at=func.clock_timestamp()))
    left = select(func.count(), func.coalesce(func.sum(hint.c.size_bytes), 0), func.min(hint.c.noticed_at)).where(
        hint.c.ingestion_id == ingestion_id
    )
    files, size_bytes, first_at = (await connection.execute(left)).one()
    await connection.execute(
        update(hinted)
        .where(hinted.c.ingestion_id == ingestion_id)
        .values(files=files, size_bytes=size_bytes, first_at=first_at)
    )
