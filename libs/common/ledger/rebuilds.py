"""Writing back into the ledger what the table proves. While it goes on, loading is halted.

Every step is one transaction that holds the rebuild's claim, and may be repeated: a rebuild that was killed half-way
is begun again, and ends the same.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem, Totals
from libs.common.errors import Permanent
from libs.common.ids import BatchId
from libs.common.ledger import quarantine
from libs.common.ledger.ingestions import halt, halt_of, hold_generation, lift_halt
from libs.common.ledger.model.audits import RestoredBatch, RestoredFile
from libs.common.ledger.model.files import BadRecords, FileVersion, digest_of
from libs.common.ledger.reconciliations import DONE, FAILED, ReconciliationClaim, Reconciliations
from libs.common.ledger.states import FINAL_BATCH_STATES, LOADED_FILE_STATES, BatchState, FileState, ScanState
from libs.common.ledger.tables import batch, file, scan, storable
from libs.common.storage.engine import Database

REBUILDING = "rebuilding"
UNFINISHED = Problem(
    error_type="rebuild_unfinished",
    message="a rebuild of its ledger did not end: not all that the table holds is known yet",
    hint="autoloader rebuild-ledger goes on with it, and lets loading go on",
)
_PAGE = 1000
_VERSION = tuple_(file.c.key_digest, file.c.version_tag)


class LedgerRebuild:
    """The writing side of rebuilds."""

    def __init__(self, database: Database, requests: Reconciliations) -> None:
        self._database = database
        self._requests = requests

    async def begin(self, claim: ReconciliationClaim) -> None:
        """From here on nothing is loaded for the ingestion."""
        async with self._database.begin() as connection:
            await self._requests.hold(connection, claim)
            await hold_generation(connection, claim.ingestion_id, claim.generation)
            words = "its ledger is being rebuilt"
            await halt(
                connection, claim.ingestion_id, Problem(error_type=REBUILDING, message=words, hint="wait for it")
            )

    async def is_busy(self, claim: ReconciliationClaim) -> bool:
        """Whether a listing or a batch of the ingestion is not over yet."""
        batches = select(batch.c.id).where(
            batch.c.ingestion_id == claim.ingestion_id, batch.c.state.not_in(FINAL_BATCH_STATES)
        )
        scans = select(scan.c.run_id).where(scan.c.ingestion_id == claim.ingestion_id, scan.c.state != ScanState.ENDED)
        async with self._database.read() as connection:
            return any([(await connection.execute(q.limit(1))).first() is not None for q in (batches, scans)])

    async def refuse_those_of_another(self, claim: ReconciliationClaim, batch_ids: Collection[str]) -> None:
        """
        Raises:
            Permanent: code ``batches_of_another``: the ledger has one of these under another ingestion.
        """
        of_another = select(batch.c.id).where(
            batch.c.id == func.any([UUID(b) for b in batch_ids]), batch.c.ingestion_id != claim.ingestion_id
        )
        async with self._database.read() as connection:
            if (found := await connection.scalar(of_another.limit(1))) is not None:
                raise _of_another(found)

    async def about_to_write(self, claim: ReconciliationClaim) -> None:
        """From here on a rebuild that fails leaves the ingestion halted."""
        async with self._database.begin() as connection:
            await self._requests.hold(connection, claim)
            if await _is_halted_by_us(connection, claim):
                await lift_halt(connection, claim.ingestion_id)
            await halt(connection, claim.ingestion_id, UNFINISHED)

    async def restore(self, claim: ReconciliationClaim, batches: Sequence[RestoredBatch]) -> None:
        """These are published. Raises as ``refuse_those_of_another``."""
        async with self._database.begin() as connection:
            await self._requests.hold(connection, claim)
            for b in batches:
                await self._restore(connection, claim, b)

    async def _restore(self, connection: AsyncConnection, claim: ReconciliationClaim, b: RestoredBatch) -> None:
        run_id = UUID(b.run_id) if b.run_id else claim.id
        first = insert(scan).values(
            run_id=run_id,
            ingestion_id=claim.ingestion_id,
            generation=claim.generation,
            state=ScanState.ENDED,
            totals=Totals().model_dump(),
            ended_at=func.clock_timestamp(),
        )
        await connection.execute(first.on_conflict_do_nothing())
        told = {
            "state": BatchState.PUBLISHED,
            "snapshot_id": b.snapshot_id,
            "row_count": b.rows,
            "rows_removed": b.rows_removed,
            "bytes_written": b.bytes_written,
            "records_quarantined": sum(b.bad.values()),
        }
        row = insert(batch).values(
            id=UUID(b.id),
            run_id=run_id,
            ingestion_id=claim.ingestion_id,
            generation=claim.generation,
            file_count=b.files,
            size_bytes=0,
            may_be_staged=True,
            **told,
        )
        written = await connection.execute(
            row.on_conflict_do_update(
                index_elements=[batch.c.id], set_=told, where=batch.c.ingestion_id == claim.ingestion_id
            )
        )
        if written.rowcount == 0:
            raise _of_another(b.id)
        bad = {digest_of(*uri.removeprefix("s3://").split("/", 1)): BadRecords(count) for uri, count in b.bad.items()}
        await quarantine.keep(connection, BatchId(UUID(b.id)), claim.ingestion_id, bad)

    async def withdraw(self, claim: ReconciliationClaim, batch_ids: Collection[str]) -> None:
        """These left the table: their files wait for the next run, but for versions that were overwritten since: they
        cannot be read any more."""
        ids = [UUID(b) for b in batch_ids]
        async with self._database.begin() as connection:
            await self._requests.hold(connection, claim)
            await connection.execute(
                update(batch).where(batch.c.id == func.any(ids)).values(state=BatchState.BURNED, updated_at=func.now())
            )
            await connection.execute(
                update(file)
                .where(file.c.batch_id == func.any(ids), file.c.state == FileState.COMMITTED)
                .values(
                    state=case((file.c.overwritten, FileState.SUPERSEDED), else_=FileState.DISCOVERED),
                    overwritten=False,
                    batch_id=None,
                    row_count=None,
                    updated_at=func.now(),
                )
            )

    async def loaded(self, claim: ReconciliationClaim, files: Sequence[RestoredFile]) -> None:
        """These are in the table. Each key once: of one with several versions, the others are added later."""
        async with self._database.begin() as connection:
            await self._requests.hold(connection, claim)
            versions = [(f.file.digest, f.file.version_tag) for f in files]
            gone = [(f.file.digest, tag) for f in files for tag in f.given_way]
            others = and_(
                file.c.ingestion_id == claim.ingestion_id,
                file.c.generation == claim.generation,
                file.c.key_digest == func.any([f.file.digest for f in files]),
                _VERSION.not_in(versions),
            )
            # A key has one live version: one that only waited makes room, and so does one whose rows were replaced.
            await connection.execute(
                update(file)
                .where(others, or_(file.c.state == FileState.DISCOVERED, _VERSION.in_(gone)))
                .values(state=FileState.SUPERSEDED, overwritten=False, updated_at=func.now())
            )
            await connection.execute(
                update(file)
                .where(others, file.c.state.in_(LOADED_FILE_STATES))
                .values(overwritten=True, updated_at=func.now())
            )
            row = insert(file).values([_row(claim, f.file, f.batch_id) for f in files])
            told = ("state", "batch_id", "error_type", "error_message")
            await connection.execute(
                row.on_conflict_do_update(
                    index_elements=["ingestion_id", "generation", "key_digest", "version_tag"],
                    set_={
                        **{name: row.excluded[name] for name in told},
                        "overwritten": False,
                        "updated_at": func.now(),
                    },
                )
            )

    async def waiting(self, claim: ReconciliationClaim, after: FileVersion | None) -> list[FileVersion]:
        """The next versions, in the ledger's order, that it has seen and not loaded."""
        at = (after.digest, after.version_tag) if after else (b"", "")
        query = (
            select(file)
            .where(
                file.c.ingestion_id == claim.ingestion_id,
                file.c.generation == claim.generation,
                _VERSION > at,
                file.c.state.not_in(LOADED_FILE_STATES),
            )
            .order_by(file.c.key_digest, file.c.version_tag)
            .limit(_PAGE)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows]

    async def done(self, claim: ReconciliationClaim, report: Mapping[str, Any]) -> None:
        """Loading goes on, and the request has its report."""
        sizes = (
            select(func.coalesce(func.sum(file.c.size_bytes), 0)).where(file.c.batch_id == batch.c.id).scalar_subquery()
        )
        async with self._database.begin() as connection:
            await self._requests.hold(
                connection, claim, state=DONE, report=dict(report), ended_at=func.clock_timestamp()
            )
            await connection.execute(
                update(batch)
                .where(and_(batch.c.ingestion_id == claim.ingestion_id, batch.c.size_bytes == 0))
                .values(size_bytes=sizes)
            )
            await lift_halt(connection, claim.ingestion_id)

    async def failed(self, claim: ReconciliationClaim, problem: Problem) -> None:
        """It cannot be done. A halt that was there before stays, and so does that of one that had begun to write."""
        async with self._database.begin() as connection:
            told = problem.model_dump(mode="json")
            await self._requests.hold(connection, claim, state=FAILED, problem=told, ended_at=func.clock_timestamp())
            if claim.kind == "rebuild" and await _is_halted_by_us(connection, claim):
                await lift_halt(connection, claim.ingestion_id)


async def _is_halted_by_us(connection: AsyncConnection, claim: ReconciliationClaim) -> bool:
    reason = await halt_of(connection, claim.ingestion_id)
    return reason is not None and reason.error_type == REBUILDING


def _of_another(batch_id: object) -> Permanent:
    return Permanent(
        f"the ledger has batch {batch_id} under another ingestion",
        code="batches_of_another",
        hint="that ingestion is still there: use it instead",
    )


def _row(claim: ReconciliationClaim, f: FileVersion, batch_id: str | None) -> dict[str, Any]:
    return {
        "ingestion_id": claim.ingestion_id,
        "generation": claim.generation,
        "key_digest": f.digest,
        "version_tag": f.version_tag,
        "bucket": f.bucket,
        "key": storable(f.key),
        "etag": f.etag,
        "size_bytes": f.size_bytes,
        "last_modified": f.last_modified,
        "state": FileState.COMMITTED if batch_id else FileState.BASELINE,
        "run_id": claim.id,
        "batch_id": UUID(batch_id) if batch_id else None,
        "error_type": None,
        "error_message": None,
    }
