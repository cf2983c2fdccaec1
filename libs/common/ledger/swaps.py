"""The ledger as a swap uses it: what it puts in place, what that has to hold, and how it stands in the ledger.

One snapshot takes out whatever the table holds, and puts in the rows of many batches. In the ledger it stands as one
batch of the new generation, published, with all of the files: so guards, audits and rebuilds need to know nothing of
swaps. ``services/executor/swap.py`` does it.
"""

from typing import Any

from sqlalchemy import ColumnElement, Uuid, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Totals
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.refreshes import BuiltAside, KeptTable, RefreshClaim, ReplacedRows
from libs.common.ledger.quarantine import are_of
from libs.common.ledger.states import BatchState, FileState, ScanState
from libs.common.ledger.tables import batch, file, quarantined, refresh, scan
from libs.common.storage.engine import Database

FILES_NAMED_MAX = 100_000
"""A snapshot names its files up to this number, in about nine bytes each: more would weigh on every commit."""


class SwapLedger:
    """Reads for whoever holds the claim of a swap, or of its undo."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, generation: int, claim: RefreshClaim) -> int:
        """How many rows the batches of this generation have in its table."""
        total = select(func.coalesce(func.sum(batch.c.row_count - batch.c.rows_removed), 0)).where(
            batch.c.ingestion_id == claim.ingestion_id,
            batch.c.generation == generation,
            batch.c.state == BatchState.PUBLISHED,
        )
        async with self._database.read() as connection:
            return int(await connection.scalar(total) or 0)

    async def files(self, generation: int, claim: RefreshClaim) -> tuple[FileVersion, ...] | None:
        """The files whose rows are in this generation's table; None if they are too many to be named."""
        query = (
            select(file.c.bucket, file.c.key, file.c.etag, file.c.size_bytes, file.c.last_modified)
            .where(
                file.c.ingestion_id == claim.ingestion_id,
                file.c.generation == generation,
                file.c.state == FileState.COMMITTED,
            )
            .limit(FILES_NAMED_MAX + 1)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if len(rows) > FILES_NAMED_MAX:
            return None
        return tuple(FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows)


async def kept_for(connection: AsyncConnection, row: Any) -> KeptTable | BuiltAside | ReplacedRows | None:
    """What the refresh of this row goes back to, or puts in place; None if it does neither."""
    if row.mode == "swap":
        of = await _refresh(connection, row.completes)
        return BuiltAside(_name(of.builds), row.from_generation)
    if row.undoes is None:
        return None
    undone = await _refresh(connection, row.undoes)
    if undone.builds is None:
        return KeptTable(_name(undone.kept_as), undone.from_generation, undone.metadata_location)
    swap = await connection.scalar(
        select(refresh.c.replaced_snapshot).where(
            refresh.c.completes == undone.id, refresh.c.phase == "ended", refresh.c.snapshot_id.is_not(None)
        )
    )
    if swap is None:
        return BuiltAside(_name(undone.builds), undone.from_generation)
    return ReplacedRows(swap, undone.from_generation)


async def begin_whole(connection: AsyncConnection, claim: RefreshClaim, row: Any) -> None:
    """The snapshot that holds all rows of the generation, as a batch that is about to get its files. A batch is a
    run's: there is none, so the refresh stands for one that has ended. Doing it twice changes nothing."""
    whose = {"ingestion_id": claim.ingestion_id, "generation": claim.to_generation}
    await connection.execute(
        insert(scan)
        .values(
            run_id=claim.id,
            state=ScanState.ENDED,
            totals=Totals().model_dump(),
            ended_at=func.clock_timestamp(),
            **whose,
        )
        .on_conflict_do_nothing()
    )
    await connection.execute(
        insert(batch)
        .values(
            id=claim.id,
            run_id=claim.id,
            state=BatchState.PUBLISHED,
            may_be_staged=True,
            file_count=0,
            size_bytes=0,
            snapshot_id=row.snapshot_id,
            row_count=row.row_count,
            bytes_written=row.bytes_written,
            **whose,
        )
        .on_conflict_do_nothing()
    )


async def take_over_bad_records(connection: AsyncConnection, claim: RefreshClaim, *of: ColumnElement[bool]) -> None:
    """What was set aside of the files ``of``, which still name the batches that they came in."""
    found = (
        select(
            literal(claim.id, Uuid).label("batch_id"),
            quarantined.c.key_digest,
            file.c.version_tag,
            quarantined.c.ingestion_id,
            quarantined.c.records,
            quarantined.c.first,
            func.coalesce(quarantined.c.origin, quarantined.c.batch_id).label("origin"),
        )
        .join(file, are_of(file))
        .where(*of, file.c.state == FileState.COMMITTED)
    )
    await connection.execute(insert(quarantined).from_select(list(found.selected_columns.keys()), found))


async def end_whole(connection: AsyncConnection, claim: RefreshClaim) -> None:
    """It has all of its files: now they are counted."""
    files = (
        await connection.execute(
            select(func.count().label("number"), func.coalesce(func.sum(file.c.size_bytes), 0).label("size")).where(
                file.c.ingestion_id == claim.ingestion_id,
                file.c.generation == claim.to_generation,
                file.c.batch_id == claim.id,
            )
        )
    ).one()
    bad = await connection.scalar(select(func.sum(quarantined.c.records)).where(quarantined.c.batch_id == claim.id))
    row = (
        await connection.execute(
            update(batch)
            .where(batch.c.id == claim.id)
            .values(file_count=files.number, size_bytes=int(files.size), records_quarantined=int(bad or 0))
            .returning(batch)
        )
    ).one()
    totals = Totals(
        batches_planned=1,
        batches_done=1,
        files_done=row.file_count,
        records_ingested=row.row_count or 0,
        records_quarantined=row.records_quarantined,
    )
    await connection.execute(update(scan).where(scan.c.run_id == claim.id).values(totals=totals.model_dump()))


async def _refresh(connection: AsyncConnection, refresh_id: Any) -> Any:
    return (await connection.execute(select(refresh).where(refresh.c.id == refresh_id))).one()


def _name(identifier: str) -> str:
    return identifier.rsplit(".", 1)[-1]
