"""What the ledger knows of a source as a whole: the last whole listing of it, and the files that are not finished.

The functions run inside transactions of scanners, executors and the API. What follows from what they find is decided in
``libs/common/completeness/watermark.py``.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, bindparam, exists, func, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.completeness.watermark import advanced, reached
from libs.common.ids import BatchId, IngestionId, RunId
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.model.watermarks import Listed, Unfinished
from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.ledger.tables import UNFINISHED_FILE_STATES, file, replacement, watermark
from libs.common.selection.wanted import Wanted

_ROWS_AT_ONCE = 1000
_LOOKED_AT_MAX = 10 * _ROWS_AT_ONCE
_SHOWN = ("bucket", "key", "etag", "size_bytes", "last_modified", "state", "run_id", "error_type", "error_message")


async def listed(connection: AsyncConnection, claim: ScanClaim) -> None:
    """The claim's listing has shown all that the source had when it began. Of two that end in the other order, the
    later beginning counts."""
    statement = insert(watermark).values(
        ingestion_id=claim.ingestion_id, generation=claim.generation, listed_from=claim.began_at
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[watermark.c.ingestion_id, watermark.c.generation],
            set_={"listed_from": func.greatest(watermark.c.listed_from, statement.excluded.listed_from)},
        )
    )


async def last_listing(connection: AsyncConnection, ingestion_id: IngestionId | UUID, generation: int) -> Listed | None:
    """None before the first whole listing of the generation has come to its end."""
    query = select(watermark.c.listed_from, watermark.c.up_to).where(
        watermark.c.ingestion_id == ingestion_id, watermark.c.generation == generation
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Listed(row.listed_from, row.up_to)


async def held_by(
    connection: AsyncConnection,
    ingestion_id: IngestionId | UUID,
    generation: int,
    listed_from: datetime,
    wanted: Wanted,
    *,
    limit: int,
    without: BatchId | None = None,
) -> list[Unfinished]:
    """The unfinished files that the definition wants, the oldest of them first. ``without``: a batch whose files do not
    count.

    Files that it leaves out, as those of a backfill of what is too old, are passed over; where too many of them stand
    before the first that is wanted, the last of them is returned: none that is wanted is older.
    """
    query = _unfinished(ingestion_id, generation, listed_from, without)
    found: list[Unfinished] = []
    last: list[Unfinished] = []
    for offset in range(0, _LOOKED_AT_MAX, _ROWS_AT_ONCE):
        rows = await connection.execute(query.limit(_ROWS_AT_ONCE).offset(offset))
        page = [_told(row) for row in rows]
        found += [each for each in page if wanted.of([each.file])]
        if len(found) >= limit or len(page) < _ROWS_AT_ONCE:
            return found[:limit]
        last = page[-1:]
    return found or last


async def with_batch(connection: AsyncConnection, claim: BatchClaim, wanted: Wanted) -> datetime | None:
    """The watermark as soon as the claim's batch is published; None before the first whole listing has ended."""
    known = await last_listing(connection, claim.ingestion_id, claim.generation)
    if known is None:
        return None
    oldest = await held_by(
        connection, claim.ingestion_id, claim.generation, known.listed_from, wanted, limit=1, without=claim.id
    )
    return advanced(known.up_to, reached(known.listed_from, written_at(oldest)))


def written_at(oldest_first: Sequence[Unfinished]) -> datetime | None:
    """When the first of them was written."""
    return oldest_first[0].file.last_modified if oldest_first else None


def _unfinished(
    ingestion_id: IngestionId | UUID, generation: int, listed_from: datetime, without: BatchId | None
) -> Select[Any]:
    later = file.alias("later")
    gave_way = exists().where(
        later.c.ingestion_id == file.c.ingestion_id,
        later.c.generation == file.c.generation,
        later.c.key_digest == file.c.key_digest,
        later.c.discovered_at > file.c.discovered_at,
    )
    waits = file.c.state.in_([FileState.DISCOVERED, FileState.BATCHED])
    # A whole listing that began after it was missed has not met it: it is gone.
    is_missed = and_(file.c.state == FileState.MISSING, file.c.updated_at >= listed_from)
    of_files = select(*(file.c[name] for name in _SHOWN)).where(
        file.c.ingestion_id == ingestion_id,
        file.c.generation == generation,
        # As the index spells it, which must serve under every plan.
        file.c.state.in_(bindparam("states", sorted(UNFINISHED_FILE_STATES), expanding=True, literal_execute=True)),
        or_(waits, and_(or_(file.c.state == FileState.FAILED, is_missed), ~gave_way)),
        file.c.batch_id.is_distinct_from(without) if without is not None else true(),
    )
    both = union_all(of_files, _on_their_way(ingestion_id, generation, without)).subquery()
    return select(both).order_by(both.c.last_modified, both.c.key)


def _on_their_way(ingestion_id: IngestionId | UUID, generation: int, without: BatchId | None) -> Select[Any]:
    """Later versions of loaded keys that shall take the place of what is loaded. Reloads of a version that is in the
    table already hold nothing back."""
    mine, newer = replacement.alias("mine"), replacement.alias("newer")
    is_loaded = exists().where(
        file.c.ingestion_id == mine.c.ingestion_id,
        file.c.generation == mine.c.generation,
        file.c.key_digest == mine.c.key_digest,
        file.c.version_tag == mine.c.version_tag,
        file.c.state.in_(LOADED_FILE_STATES),
    )
    was_tried_again = exists().where(
        newer.c.ingestion_id == mine.c.ingestion_id,
        newer.c.generation == mine.c.generation,
        newer.c.key_digest == mine.c.key_digest,
        newer.c.updated_at > mine.c.updated_at,
    )
    return select(*(mine.c[name] for name in _SHOWN)).where(
        mine.c.ingestion_id == ingestion_id,
        mine.c.generation == generation,
        mine.c.state.in_([FileState.BATCHED, FileState.DISCOVERED]),
        ~is_loaded,
        ~was_tried_again,
        mine.c.batch_id != without if without is not None else true(),
    )


def _told(row: Any) -> Unfinished:
    version = FileVersion(row.bucket, row.key, row.etag, row.size_bytes, row.last_modified)
    return Unfinished(
        version,
        FileState(row.state),
        RunId(row.run_id),
        row.error_type,
        row.error_message,
    )
