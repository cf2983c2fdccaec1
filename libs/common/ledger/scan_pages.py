"""What a page of a listing changes in the ledger: its files, and the batches that they fill.

The functions run inside the transactions of ``scans.py``, which hold the scan.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

from sqlalchemy import ColumnElement, and_, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import ScanProgress, Totals
from libs.common.errors import Fenced
from libs.common.ledger import hints, overwritten
from libs.common.ledger.arrays import rows_of
from libs.common.ledger.model.batches import Fate, gone
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.planned import create_batch
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX, RunLog
from libs.common.ledger.states import LIVE_FILE_STATES, FileState, ScanState
from libs.common.ledger.tables import file, storable
from libs.common.storage.outbox import Outbox

_COLUMNS = {
    name: file.c[name].type
    for name in (
        "key_digest",
        "version_tag",
        "bucket",
        "key",
        "etag",
        "size_bytes",
        "last_modified",
        "state",
        "error_type",
        "error_message",
    )
}
_Row = tuple[bytes, str, str, str, str, int, datetime, FileState, str | None, str | None]
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
    await _put(connection, claim, [_row(f) for f in page.taken])
    await _put(connection, claim, [_row(f, Fate(FileState.SKIPPED)) for f in page.left])
    await _put(connection, claim, [_row(r.file, Fate(FileState.FAILED, r.problem)) for r in page.refused])
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
    await _put(connection, claim, [_row(f, fate) for f, fate in zip(files, fates, strict=True)])
    problems = tuple(fate.problem for fate in fates[:PROBLEMS_IN_AN_EVENT_MAX] if fate.problem is not None)
    await log.record(
        connection,
        claim.run_id,
        lambda h: ScanProgress(**h.fields(), problems=problems),
        change=Totals(files_failed=len(files)),
    )


async def _put(connection: AsyncConnection, claim: ScanClaim, rows: Sequence[_Row]) -> None:
    """Guarded: a version that is in a batch or in the table, or whose key is, stays as it is."""
    if not rows:
        return
    # By digest and version: two scans that come to the same files in different orders would wait for each other.
    page = rows_of("page", _COLUMNS, sorted(rows, key=itemgetter(0, 1)))
    same_for_all = {"ingestion_id": claim.ingestion_id, "generation": claim.generation, "run_id": claim.run_id}
    statement = insert(file).from_select(
        [*same_for_all, *_COLUMNS],
        select(*(literal(value, file.c[name].type) for name, value in same_for_all.items()), *page.c),
    )
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
    if written != len(rows):
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


def _row(version: FileVersion, fate: Fate | None = None) -> _Row:
    """Waiting for a batch, if no other ``fate`` is given."""
    problem = fate.problem if fate is not None else None
    return (
        version.digest,
        version.version_tag,
        version.bucket,
        storable(version.key),
        version.etag,
        version.size_bytes,
        version.last_modified,
        fate.state if fate is not None else FileState.DISCOVERED,
        problem.error_type if problem is not None else None,
        storable(problem.message) if problem is not None else None,
    )
