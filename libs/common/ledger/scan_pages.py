"""What a page of a listing changes in the ledger: its files, and the batches that they fill.

The functions run inside the transactions of ``scans.py``, which hold the scan.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import ScanProgress, Totals
from libs.common.errors import Fenced
from libs.common.ledger import hints, overwritten
from libs.common.ledger.model.batches import Fate, gone
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.planned import create_batch
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX, RunLog
from libs.common.ledger.states import LIVE_FILE_STATES, FileState, ScanState
from libs.common.ledger.tables import file, storable
from libs.common.storage.outbox import Outbox

_ROWS_PER_INSERT = 1000
_NOT_OURS_TO_TAKE = LIVE_FILE_STATES - {FileState.DISCOVERED}


async def record(connection: AsyncConnection, outbox: Outbox, claim: ScanClaim, page: Page) -> Totals:
    """Writes the page's files, and its full batches with the messages that wake executors. What it changes of the run's
    totals.

    Raises:
        Fenced: a file is not where the page says; somebody else has it.
    """
    counted_before = 0
    if page.superseded:
        rows = await connection.execute(
            update(file)
            .where(
                file.c.ingestion_id == claim.ingestion_id,
                file.c.generation == claim.generation,
                file.c.state == FileState.DISCOVERED,
                file.c.key_digest == func.any(list(page.superseded)),
            )
            .values(state=FileState.SUPERSEDED, updated_at=func.now())
            .returning(file.c.run_id, file.c.error_type)
        )
        # A key that was overwritten between two attempts at one listing is still one file that the run found.
        counted_before = sum(r.run_id == claim.run_id and r.error_type is None for r in rows)
    if page.beside:
        await overwritten.make_room(connection, claim, page.beside)
    await _put(connection, claim, [_row(claim, f) for f in page.taken])
    await _put(connection, claim, [_row(claim, f) | {"state": FileState.SKIPPED} for f in page.left])
    await _put(
        connection, claim, [_row(claim, r.file) | _fate(Fate(FileState.FAILED, r.problem)) for r in page.refused]
    )
    for planned in page.batches:
        await create_batch(connection, outbox, claim, planned, taken_from=FileState.DISCOVERED)
    if page.hints_through:
        await hints.settle(connection, claim.ingestion_id, page.hints_through, kept=page.hints_kept)
    reloaded = sum(len(planned.files) for planned in page.batches if planned.replaces_rows)
    return Totals(
        files_discovered=len(page.taken) + len(page.refused) + reloaded - counted_before,
        files_failed=len(page.refused),
        files_skipped=page.files_skipped,
        batches_planned=len(page.batches),
    )


async def tell_what_is_gone(connection: AsyncConnection, log: RunLog, claim: ScanClaim) -> None:
    """Every file of a whole listing is in a batch by now: one of this run that waits for none was not listed."""
    rows = await connection.execute(
        select(file.c.bucket, file.c.key, file.c.etag, file.c.size_bytes, file.c.last_modified)
        .where(
            file.c.ingestion_id == claim.ingestion_id,
            file.c.generation == claim.generation,
            file.c.run_id == claim.run_id,
            file.c.state == FileState.DISCOVERED,
            file.c.error_type.is_(None),
        )
        .order_by(file.c.key.collate("C"))
        .with_for_update()
    )
    files = [FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows]
    if not files:
        return
    fates = [gone(f) for f in files]
    await _put(connection, claim, [_row(claim, f) | _fate(fate) for f, fate in zip(files, fates, strict=True)])
    problems = tuple(fate.problem for fate in fates[:PROBLEMS_IN_AN_EVENT_MAX] if fate.problem is not None)
    await log.record(
        connection,
        claim.run_id,
        lambda h: ScanProgress(**h.fields(), problems=problems),
        change=Totals(files_failed=len(files)),
    )


async def _put(connection: AsyncConnection, claim: ScanClaim, rows: list[dict[str, Any]]) -> None:
    """Guarded: a version that is in a batch or in the table, or whose key is, stays as it is."""
    for start in range(0, len(rows), _ROWS_PER_INSERT):
        some = rows[start : start + _ROWS_PER_INSERT]
        statement = insert(file).values(some)
        statement = statement.on_conflict_do_update(
            index_elements=["ingestion_id", "generation", "key_digest", "version_tag"],
            set_={
                "state": statement.excluded.state,
                "run_id": statement.excluded.run_id,
                "batch_id": None,
                "overwritten": False,
                "last_modified": statement.excluded.last_modified,
                "error_type": statement.excluded.error_type,
                "error_message": statement.excluded.error_message,
                "updated_at": func.now(),
            },
            where=and_(file.c.state.not_in(_NOT_OURS_TO_TAKE), ~_is_held(claim)),
        )
        try:
            written = (await connection.execute(statement)).rowcount
        except IntegrityError as e:  # uq_file_live_key: another version of the key is live
            raise Fenced(f"a file that run {claim.run_id} found") from e
        if written != len(some):
            raise Fenced(f"a file that run {claim.run_id} found")


def _is_held(claim: ScanClaim) -> ColumnElement[bool]:
    """Whether the file waits for a batch of another run that still lists: it has counted it already."""
    # In text: a subquery in ON CONFLICT is not rendered with its schema, nor correlated.
    lists = text("EXISTS (SELECT FROM ledger.scan AS s WHERE s.run_id = ledger.file.run_id AND s.state = :scanning)")
    return and_(
        file.c.state == FileState.DISCOVERED,
        file.c.run_id != claim.run_id,
        lists.bindparams(scanning=ScanState.SCANNING.value),
    )


def _row(claim: ScanClaim, version: FileVersion) -> dict[str, Any]:
    return {
        "ingestion_id": claim.ingestion_id,
        "generation": claim.generation,
        "key_digest": version.digest,
        "version_tag": version.version_tag,
        "bucket": version.bucket,
        "key": storable(version.key),
        "etag": version.etag,
        "size_bytes": version.size_bytes,
        "last_modified": version.last_modified,
        "state": FileState.DISCOVERED,
        "run_id": claim.run_id,
    }


def _fate(fate: Fate) -> dict[str, Any]:
    problem = fate.problem
    assert problem is not None
    return {"state": fate.state, "error_type": problem.error_type, "error_message": storable(problem.message)}
