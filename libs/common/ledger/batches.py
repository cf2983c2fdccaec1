"""The ledger as an executor uses it: claim a batch, move it through the commit protocol, record how it ended.

Each method is one transaction and one guarded UPDATE (``batch_claims.py``): if the claim's token is not the batch's
token any more, nothing is written and ``Fenced`` tells the executor to stop. The order of the calls is the protocol's
(services/executor/commit.py); what each state means after a crash stands in ``states.py``.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from libs.common.contracts.definition import Source
from libs.common.contracts.events import Problem
from libs.common.contracts.scope import Lane
from libs.common.errors import Fenced, Permanent
from libs.common.ids import BatchId, IngestionId
from libs.common.ledger import backlogs, batch_ends, batch_files, column_decisions, quarantine, replacements, watermarks
from libs.common.ledger.aborts import abort_of
from libs.common.ledger.batch_claims import BatchClaims, claimable
from libs.common.ledger.ingestions import halt, halt_of, hold_generation
from libs.common.ledger.model.backlogs import Waiting
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Doubts, PublishedBatch, Standing
from libs.common.ledger.model.columns import Decisions, Proposal
from libs.common.ledger.model.files import BadRecords, FileVersion, Loaded
from libs.common.ledger.run_log import RunLog
from libs.common.ledger.states import BatchState
from libs.common.ledger.tables import batch, storable
from libs.common.selection.wanted import Wanted
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox


class BatchLedger:
    """Guards one executor's claims. ``owner`` names the process in the tables; the lease is on the database clock."""

    def __init__(self, database: Database, outbox: Outbox, *, owner: str, lease: timedelta) -> None:
        self._database = database
        self._outbox = outbox
        self._log = RunLog(outbox)
        self._claims = BatchClaims(owner, lease)

    async def claim(self, batch_id: BatchId) -> BatchClaim | None:
        """The right to work on this batch; None while somebody else holds it, or when it is finished."""
        async with self._database.begin() as connection:
            return await self._claims.take(connection, batch_id)

    async def claimable(self, *, planned_before: timedelta, limit: int, lane: Lane = "fresh") -> list[BatchId]:
        """Batches of a lane that nobody works on: their lease ended, or no executor came within ``planned_before``."""
        async with self._database.read() as connection:
            return await claimable(connection, planned_before=planned_before, limit=limit, lane=lane)

    async def waiting(self, batch_id: BatchId, *, besides: Collection[BatchId] = ()) -> list[Waiting]:
        """The tenants with batches that nobody has begun, others than ``besides``, in the lane of this one."""
        async with self._database.read() as connection:
            return await backlogs.waiting(connection, batch_id, besides=besides)

    async def standing(self, claim: BatchClaim) -> Standing:
        """How far the batch is. Raises ``Fenced`` when the claim is lost."""
        async with self._database.begin() as connection:
            row = await self._claims.move(connection, claim)
            reason = await halt_of(connection, claim.ingestion_id) or await abort_of(connection, claim.run_id)
        return Standing(BatchState(row.state), row.may_be_staged, row.publish_base, reason)

    async def files(self, claim: BatchClaim) -> tuple[FileVersion, ...]:
        """The batch's files, in the order of their keys' bytes. The same for every attempt (I3)."""
        async with self._database.read() as connection:
            return await batch_files.files_of(connection, claim)

    async def loaded(self, claim: BatchClaim) -> dict[bytes, Loaded]:
        """What the table should hold of the keys whose rows the batch replaces, by digest. Raises ``Fenced`` when the
        claim is lost: who ended the batch has changed that."""
        async with self._database.begin() as connection:
            await self._claims.move(connection, claim)
            return await replacements.loaded(connection, claim)

    async def watermark(self, claim: BatchClaim, source: Source, created_at: datetime) -> datetime | None:
        """Up to when everything will be loaded, set aside or left out as soon as this batch is published; None before
        the first listing of the whole source has ended. ``created_at``: when the ingestion was made."""
        async with self._database.read() as connection:
            return await watermarks.with_batch(connection, claim, Wanted(source, created_at))

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
            await self._claims.extend(connection, claim)

    async def about_to_stage(self, claim: BatchClaim) -> None:
        """From here on a staged snapshot may exist: the batch cannot be given up without burning it."""
        async with self._database.begin() as connection:
            await self._claims.move(connection, claim, may_be_staged=True)

    async def staged(
        self, claim: BatchClaim, rows_by_file: Mapping[bytes, int], bad: Mapping[bytes, BadRecords] | None = None
    ) -> bool:
        """The staged snapshot passed its audit. Its counts are kept now: after a crash they cannot be read again.
        ``bad`` is what was set aside, by file digest. False: an earlier attempt, which may be published yet, counted
        something else. Then its counts stay."""
        bad = bad or {}
        counts = {
            "row_count": sum(rows_by_file.values()),
            "records_quarantined": sum(found.count for found in bad.values()),
        }
        async with self._database.begin() as connection:
            before = await self._claims.move(connection, claim)
            if before.publish_base is not None and any(getattr(before, name) != n for name, n in counts.items()):
                return False
            await self._claims.move(connection, claim, state=BatchState.STAGED, **counts)
            await quarantine.keep(connection, claim.id, claim.ingestion_id, bad)
            await batch_files.count_rows(connection, claim, rows_by_file)
        return True

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
            await self._claims.move(connection, claim)
            await halt(connection, claim.ingestion_id, reason)

    async def decisions(self, claim: BatchClaim) -> Decisions:
        """Which fields may become columns, and which not."""
        async with self._database.read() as connection:
            return await column_decisions.decisions(connection, claim.ingestion_id)

    async def propose(self, claim: BatchClaim, proposals: Sequence[Proposal]) -> None:
        """These columns wait for somebody's decision."""
        async with self._database.begin() as connection:
            await self._claims.move(connection, claim)
            await column_decisions.propose(connection, claim, proposals)

    async def publishing(self, claim: BatchClaim, base: int) -> None:
        """The publish goes out next. From here only the table knows. ``base`` is its current snapshot.

        Raises:
            Fenced: also when a refresh has begun: nothing of this generation may become visible any more (I6).
            Permanent: code ``run_aborted``: another file of the run had bad records.
        """
        async with self._database.begin() as connection:
            await hold_generation(connection, claim.ingestion_id, claim.generation)
            await self._claims.move(connection, claim, state=BatchState.PUBLISHING, publish_base=base)
            if (reason := await abort_of(connection, claim.run_id)) is not None:
                raise Permanent(reason.message, code=reason.error_type, hint=reason.hint)

    async def published(self, claim: BatchClaim, found: PublishedBatch) -> None:
        """Finalise: batch published, files committed, totals and events, in one transaction."""
        async with self._database.begin() as connection:
            row = await self._claims.end(
                connection,
                claim,
                outcome="published",
                state=BatchState.PUBLISHED,
                snapshot_id=found.snapshot_id,
                bytes_written=found.bytes_written,
                rows_removed=found.rows_removed,
            )
            await batch_ends.published(connection, self._log, claim, row, found)

    async def burning(self, claim: BatchClaim) -> None:
        """The batch will be burned: no later attempt may try to publish it."""
        async with self._database.begin() as connection:
            await self._claims.move(connection, claim, state=BatchState.BURNING)

    async def burned(self, claim: BatchClaim, verdict: BurnVerdict) -> None:
        """The batch can never be published. Its files meet their fates; those without one go on in a new batch, or wait
        for the next run if this one was cancelled or aborted."""
        async with self._database.begin() as connection:
            await self._claims.end(
                connection,
                claim,
                outcome="burned",
                state=BatchState.BURNED,
                last_error=storable(verdict.problem.message) if verdict.problem else None,
            )
            await batch_ends.burned(connection, self._log, self._outbox, claim, verdict)

    async def release(self, claim: BatchClaim, *, error: str, counts: bool = True) -> None:
        """Gives the batch back for a later attempt; does nothing when the claim is lost already. ``counts``: it is one
        of the batch's attempts."""
        attempts = batch.c.attempts if counts else batch.c.attempts - 1
        given_back = {"last_error": storable(error), "lease_until": None, "attempts": attempts}
        async with self._database.begin() as connection:
            try:
                await self._claims.end(connection, claim, outcome="released", **given_back)
            except Fenced:
                return
