"""The ledger as an executor uses it: claim a batch, move it through the commit protocol, record how it ended.

Each method is one transaction and one guarded UPDATE: if the claim's token is not the batch's token any more,
nothing is written and ``Fenced`` tells the executor to stop. The order of the calls is the protocol's
(services/executor/commit.py); what each state means after a crash stands in ``states.py``.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import FileBatchCommitted, FileBatchFailed, Problem, Totals
from libs.common.contracts.scope import Lane
from libs.common.errors import Fenced, Permanent
from libs.common.ids import BatchId, IngestionId, RunId, new_batch_id
from libs.common.ledger import column_decisions, quarantine, replacements
from libs.common.ledger.aborts import abort_of, abort_run
from libs.common.ledger.cancellations import stopped, why_stopped
from libs.common.ledger.ingestions import halt, halt_of, hold_generation
from libs.common.ledger.model.batches import (
    BatchClaim,
    BurnVerdict,
    Doubts,
    Fate,
    PlannedBatch,
    PublishedBatch,
    Standing,
    in_parts,
)
from libs.common.ledger.model.columns import Decisions, Proposal
from libs.common.ledger.model.files import BadRecords, FileVersion, Loaded
from libs.common.ledger.planned import create_batch
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX, RunLog
from libs.common.ledger.schema_history import record_schema
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState, ScanState
from libs.common.ledger.tables import batch, batch_attempt, file, storable
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox

_UNFINISHED = batch.c.state.not_in(FINAL_BATCH_STATES)
_UNLEASED = or_(batch.c.lease_until.is_(None), batch.c.lease_until < func.clock_timestamp())


class BatchLedger:
    """Guards one executor's claims. ``owner`` names the process in the tables; the lease is on the database clock."""

    def __init__(self, database: Database, outbox: Outbox, *, owner: str, lease: timedelta) -> None:
        self._database = database
        self._outbox = outbox
        self._log = RunLog(outbox)
        self._owner = owner
        self._lease = lease

    async def claim(self, batch_id: BatchId) -> BatchClaim | None:
        """The right to work on this batch; None while somebody else holds it, or when it is finished."""
        async with self._database.begin() as connection:
            found = (
                await connection.execute(
                    select(batch)
                    .where(batch.c.id == batch_id, _UNFINISHED, _UNLEASED)
                    .with_for_update(skip_locked=True)
                )
            ).one_or_none()
            if found is None:
                return None
            row = (
                await connection.execute(
                    update(batch)
                    .where(batch.c.id == batch_id, batch.c.token == found.token)
                    .values(
                        token=batch.c.token + 1,
                        attempts=batch.c.attempts + 1,
                        state=BatchState.BURNING if found.state == BatchState.BURNING else BatchState.LEASED,
                        owner=self._owner,
                        **self._fresh(),
                    )
                    .returning(batch.c.token, batch.c.attempts)
                )
            ).one()
            await connection.execute(
                batch_attempt.insert().values(batch_id=batch_id, token=row.token, owner=self._owner)
            )
        return BatchClaim(
            id=batch_id,
            run_id=RunId(found.run_id),
            ingestion_id=IngestionId(found.ingestion_id),
            generation=found.generation,
            token=row.token,
            attempt=row.attempts,
            replaces_rows=found.replaces_rows,
        )

    async def claimable(self, *, planned_before: timedelta, limit: int, lane: Lane = "fresh") -> list[BatchId]:
        """Batches of a lane that nobody works on: their lease ended, or no executor came within ``planned_before``."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(batch.c.id)
                .where(
                    _UNFINISHED,
                    batch.c.lane == lane,
                    or_(
                        batch.c.lease_until < func.clock_timestamp(),
                        and_(
                            batch.c.lease_until.is_(None),
                            batch.c.updated_at < func.clock_timestamp() - planned_before,
                        ),
                    ),
                )
                .order_by(batch.c.created_at)
                .limit(limit)
            )
            return [BatchId(row.id) for row in rows]

    async def standing(self, claim: BatchClaim) -> Standing:
        """How far the batch is. Raises ``Fenced`` when the claim is lost."""
        async with self._database.begin() as connection:
            row = await self._move(connection, claim)
            reason = await halt_of(connection, claim.ingestion_id) or await abort_of(connection, claim.run_id)
        return Standing(BatchState(row.state), row.may_be_staged, row.publish_base, reason)

    async def files(self, claim: BatchClaim) -> tuple[FileVersion, ...]:
        """The batch's files, in the order of their keys' bytes. The same for every attempt (I3)."""
        async with self._database.read() as connection:
            return await self._files(connection, claim)

    async def loaded(self, claim: BatchClaim) -> dict[bytes, Loaded]:
        """What the table should hold of the keys whose rows the batch replaces, by digest. Raises ``Fenced`` when the
        claim is lost: who ended the batch has changed that."""
        async with self._database.begin() as connection:
            await self._move(connection, claim)
            return await replacements.loaded(connection, claim)

    async def has_published(self, ingestion_id: IngestionId, generation: int) -> bool:
        """Whether this generation has rows in its table, as far as the ledger knows."""
        async with self._database.read() as connection:
            found = await connection.execute(
                select(batch.c.id)
                .where(
                    batch.c.ingestion_id == ingestion_id,
                    batch.c.generation == generation,
                    batch.c.state == BatchState.PUBLISHED,
                )
                .limit(1)
            )
            return found.first() is not None

    async def extend(self, claim: BatchClaim) -> None:
        """Heartbeat: a full lease from now. Raises ``Fenced`` when the claim is lost; does nothing when this claim has
        ended the batch itself meanwhile."""
        async with self._database.begin() as connection:
            try:
                await self._move(connection, claim)
            except Fenced:
                token = await connection.scalar(select(batch.c.token).where(batch.c.id == claim.id))
                if token != claim.token:
                    raise

    async def about_to_stage(self, claim: BatchClaim) -> None:
        """From here on a staged snapshot may exist: the batch cannot be given up without burning it."""
        async with self._database.begin() as connection:
            await self._move(connection, claim, may_be_staged=True)

    async def staged(
        self, claim: BatchClaim, rows_by_file: Mapping[bytes, int], bad: Mapping[bytes, BadRecords] | None = None
    ) -> None:
        """The staged snapshot passed its audit. Its counts are kept now: after a crash they cannot be read again.
        ``bad`` is what was set aside, by file digest."""
        bad = bad or {}
        async with self._database.begin() as connection:
            await self._move(
                connection,
                claim,
                state=BatchState.STAGED,
                row_count=sum(rows_by_file.values()),
                records_quarantined=sum(found.count for found in bad.values()),
            )
            await quarantine.keep(connection, claim.id, claim.ingestion_id, bad)
            if claim.replaces_rows:
                await replacements.count_rows(connection, claim, rows_by_file)
                return
            await connection.execute(
                update(file)
                .where(
                    file.c.batch_id == claim.id,
                    file.c.state == FileState.BATCHED,
                    file.c.key_digest == bindparam("digest"),
                )
                .values(row_count=bindparam("rows")),
                [{"digest": digest, "rows": rows} for digest, rows in rows_by_file.items()],
            )

    async def doubts(self, claim: BatchClaim, batches: Collection[str], snapshots: Collection[int]) -> Doubts:
        """What contradicts the ledger if the table has the rows of ``batches`` (their ids), and of ``snapshots`` none.
        A batch is in the ledger before anything of it is staged, so one that is not was forgotten."""
        async with self._database.read() as connection:
            known = await connection.scalars(
                select(batch.c.id).where(
                    batch.c.id == func.any([UUID(b) for b in batches]), batch.c.state != BatchState.BURNED
                )
            )
            strangers = set(batches) - {str(known_id) for known_id in known}
            published = await connection.scalars(
                select(batch.c.snapshot_id).where(
                    batch.c.ingestion_id == claim.ingestion_id,
                    batch.c.state == BatchState.PUBLISHED,
                    batch.c.snapshot_id == func.any(list(snapshots)),
                )
            )
            return Doubts(tuple(sorted(strangers)), frozenset(published))

    async def halt(self, claim: BatchClaim, reason: Problem) -> None:
        """From now on nothing is loaded for the ingestion, until somebody lifts it (see ``ingestions.py``)."""
        async with self._database.begin() as connection:
            await self._move(connection, claim)
            await halt(connection, claim.ingestion_id, reason)

    async def decisions(self, claim: BatchClaim) -> Decisions:
        """Which fields may become columns, and which not."""
        async with self._database.read() as connection:
            return await column_decisions.decisions(connection, claim.ingestion_id)

    async def propose(self, claim: BatchClaim, proposals: Sequence[Proposal]) -> None:
        """These columns wait for somebody's decision."""
        async with self._database.begin() as connection:
            await self._move(connection, claim)
            await column_decisions.propose(connection, claim, proposals)

    async def publishing(self, claim: BatchClaim, base: int) -> None:
        """The publish goes out next. From here only the table knows. ``base`` is its current snapshot.

        Raises:
            Fenced: also when a refresh has begun: nothing of this generation may become visible any more (I6).
            Permanent: code ``run_aborted``: another file of the run had bad records.
        """
        async with self._database.begin() as connection:
            await hold_generation(connection, claim.ingestion_id, claim.generation)
            await self._move(connection, claim, state=BatchState.PUBLISHING, publish_base=base)
            if (reason := await abort_of(connection, claim.run_id)) is not None:
                raise Permanent(reason.message, code=reason.error_type, hint=reason.hint)

    async def published(self, claim: BatchClaim, found: PublishedBatch) -> None:
        """Finalise: batch published, files committed, totals and events, in one transaction."""
        async with self._database.begin() as connection:
            row = await self._end(
                connection,
                claim,
                outcome="published",
                state=BatchState.PUBLISHED,
                snapshot_id=found.snapshot_id,
                bytes_written=found.bytes_written,
                rows_removed=found.rows_removed,
            )
            if claim.replaces_rows:
                await replacements.commit(connection, claim)
            await connection.execute(
                update(file)
                .where(file.c.batch_id == claim.id, file.c.state == FileState.BATCHED)
                .values(state=FileState.COMMITTED, updated_at=func.now())
            )
            version = await record_schema(connection, claim, found)
            records = row.row_count or 0
            told = await quarantine.problems(connection, claim) if row.records_quarantined else ()
            await self._log.record(
                connection,
                claim.run_id,
                lambda h: FileBatchCommitted(
                    **h.fields(),
                    batch_id=claim.id,
                    snapshot_id=found.snapshot_id,
                    files=row.file_count,
                    records=records,
                    records_quarantined=row.records_quarantined,
                    problems=told,
                    size_bytes=row.size_bytes,
                    guarantee=found.guarantee,
                    warnings=found.warnings,
                ),
                change=Totals(
                    files_done=row.file_count,
                    batches_done=1,
                    records_ingested=records,
                    records_quarantined=row.records_quarantined,
                    bytes_read=row.size_bytes,
                    bytes_written=found.bytes_written,
                    schema_version=version,
                ),
            )

    async def burning(self, claim: BatchClaim) -> None:
        """The batch will be burned: no later attempt may try to publish it."""
        async with self._database.begin() as connection:
            await self._move(connection, claim, state=BatchState.BURNING)

    async def burned(self, claim: BatchClaim, verdict: BurnVerdict) -> None:
        """The batch can never be published. Its files meet their fates; those without one go on in a new batch, or wait
        for the next run if this one was cancelled or aborted."""
        async with self._database.begin() as connection:
            await self._end(
                connection,
                claim,
                outcome="burned",
                state=BatchState.BURNED,
                last_error=storable(verdict.problem.message) if verdict.problem else None,
            )
            going_on = await self._apply(connection, claim, verdict)
            more = await abort_run(connection, claim.run_id) if verdict.aborts else []
            why = await why_stopped(connection, claim.run_id) if going_on else None
            if why is not None:
                verdict = stopped(verdict, going_on, why)
                going_on = await self._apply(connection, claim, verdict)
            new_batches = [
                PlannedBatch(new_batch_id(), part, claim.replaces_rows) for part in in_parts(going_on, verdict.parts)
            ]
            for planned in new_batches:
                await create_batch(
                    connection, self._outbox, claim, planned, taken_from=FileState.BATCHED, replaces=claim.id
                )
            problems = [f.problem for f in verdict.fates.values() if f.problem is not None]
            if verdict.problem is not None:
                problems.insert(0, verdict.problem)
            change = Totals(files_failed=len(verdict.fates), batches_done=1, batches_planned=len(new_batches))
            await self._log.record_all(
                connection,
                claim.run_id,
                [
                    (
                        lambda h: FileBatchFailed(
                            **h.fields(),
                            batch_id=claim.id,
                            problems=tuple(problems[:PROBLEMS_IN_AN_EVENT_MAX]),
                            files_failed=len(verdict.fates),
                            files_replanned=len(going_on),
                        ),
                        change,
                    ),
                    *more,
                ],
                scan_state=ScanState.BROKEN if more else None,
            )

    async def release(self, claim: BatchClaim, *, error: str) -> None:
        """Gives the batch back for a later attempt; does nothing when the claim is lost already."""
        async with self._database.begin() as connection:
            try:
                await self._end(connection, claim, outcome="released", last_error=storable(error), lease_until=None)
            except Fenced:
                return

    def _fresh(self) -> dict[str, Any]:
        return {"lease_until": func.clock_timestamp() + self._lease, "updated_at": func.clock_timestamp()}

    async def _move(self, connection: AsyncConnection, claim: BatchClaim, **values: Any) -> Any:
        """The guarded UPDATE: the claim's token, an unfinished state, and a fresh lease."""
        row = (
            await connection.execute(
                update(batch)
                .where(batch.c.id == claim.id, batch.c.token == claim.token, _UNFINISHED)
                .values(**{**self._fresh(), **values})
                .returning(batch)
            )
        ).one_or_none()
        if row is None:
            raise Fenced(f"batch {claim.id}")
        return row

    async def _end(self, connection: AsyncConnection, claim: BatchClaim, *, outcome: str, **values: Any) -> Any:
        row = await self._move(connection, claim, **values)
        await connection.execute(
            update(batch_attempt)
            .where(batch_attempt.c.batch_id == claim.id, batch_attempt.c.token == claim.token)
            .values(ended_at=func.clock_timestamp(), outcome=outcome, error=values.get("last_error"))
        )
        return row

    async def _apply(
        self, connection: AsyncConnection, claim: BatchClaim, verdict: BurnVerdict
    ) -> tuple[FileVersion, ...]:
        """Moves the files that have a fate; returns those that have none. A file that fails for no reason of its own
        keeps the batch's: it tells the next scan that this one was given up."""
        fates = [_fate_row(digest, fate, verdict.problem) for digest, fate in verdict.fates.items()]
        if fates and claim.replaces_rows:
            await replacements.apply(connection, claim, fates)
        elif fates:
            await connection.execute(
                update(file)
                .where(
                    file.c.batch_id == claim.id,
                    file.c.key_digest == bindparam("digest"),
                    file.c.state == FileState.BATCHED,
                )
                .values(
                    state=bindparam("fate"),
                    batch_id=None,
                    row_count=None,
                    error_type=bindparam("word"),
                    error_message=bindparam("words"),
                    updated_at=func.now(),
                ),
                fates,
            )
        return await self._files(connection, claim)

    async def _files(self, connection: AsyncConnection, claim: BatchClaim) -> tuple[FileVersion, ...]:
        """What is in the batch, in the order of the keys' bytes."""
        if claim.replaces_rows:
            return await replacements.files_of(connection, claim.id)
        rows = await connection.execute(
            select(file.c.bucket, file.c.key, file.c.etag, file.c.size_bytes, file.c.last_modified)
            .where(file.c.batch_id == claim.id, file.c.state == FileState.BATCHED)
            .order_by(file.c.key.collate("C"))
        )
        return tuple(FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows)


def _fate_row(digest: bytes, fate: Fate, otherwise: Problem | None) -> dict[str, Any]:
    problem = fate.problem or otherwise
    return {
        "digest": digest,
        "fate": fate.state,
        "word": problem.error_type if problem else None,
        "words": storable(problem.message) if problem else None,
    }
