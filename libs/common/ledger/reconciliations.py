"""Audits, rebuilds and fills as an executor does them: claim one, read the ledger's side of it, end it.

Claims are guarded like a batch's: a lease on the database's clock, and a token that makes an older holder stop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.errors import Fenced
from libs.common.ids import IngestionId
from libs.common.ledger import column_decisions
from libs.common.ledger.model.audits import BatchRow, VersionRow
from libs.common.ledger.model.columns import Decisions
from libs.common.ledger.quarantine import are_of
from libs.common.ledger.states import BatchState, FileState
from libs.common.ledger.tables import audit, batch, file, quarantined
from libs.common.storage.control import reconciliation
from libs.common.storage.engine import Database

RUNNING, DONE, FAILED = "running", "done", "failed"
_UNLEASED = or_(audit.c.lease_until.is_(None), audit.c.lease_until < func.clock_timestamp())


@dataclass(frozen=True, slots=True)
class ReconciliationClaim:
    """The right to work on an audit, a rebuild or a fill. ``kind`` says which; ``report`` is what an earlier holder of
    the claim said right before a publish."""

    id: UUID
    ingestion_id: IngestionId
    generation: int
    kind: str
    options: Mapping[str, Any]
    token: int
    attempt: int
    report: Mapping[str, Any] | None = None

    @property
    def wap_id(self) -> str:
        """The name under which a fill can be published. It is no batch's: no rows come with it."""
        return f"fill1:{self.ingestion_id}:{self.id}"


class Reconciliations:
    """Guards one executor's claims. ``owner`` names the process in the tables."""

    def __init__(self, database: Database, *, owner: str, lease: timedelta) -> None:
        self._database = database
        self._owner = owner
        self._lease = lease

    async def waiting(self, *, asked_before: timedelta, limit: int) -> list[UUID]:
        """Requests that nobody works on: never taken within ``asked_before``, or their holder's lease ended."""
        query = (
            select(reconciliation.c.id)
            .outerjoin(audit, audit.c.id == reconciliation.c.id)
            .where(
                or_(
                    and_(audit.c.id.is_(None), reconciliation.c.created_at < func.clock_timestamp() - asked_before),
                    and_(audit.c.state == RUNNING, _UNLEASED),
                )
            )
            .order_by(reconciliation.c.created_at)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return list(await connection.scalars(query))

    async def claim(self, request_id: UUID) -> ReconciliationClaim | None:
        """The right to work on this request; None while somebody else holds it, when it is over, or unknown."""
        async with self._database.begin() as connection:
            asked = (
                await connection.execute(select(reconciliation).where(reconciliation.c.id == request_id))
            ).one_or_none()
            if asked is None:
                return None
            first = insert(audit).values(id=request_id, ingestion_id=asked.ingestion_id, state=RUNNING)
            await connection.execute(first.on_conflict_do_nothing())
            row = (
                await connection.execute(
                    update(audit)
                    .where(audit.c.id == request_id, audit.c.state == RUNNING, _UNLEASED)
                    .values(token=audit.c.token + 1, attempts=audit.c.attempts + 1, owner=self._owner, **self._fresh())
                    .returning(audit.c.token, audit.c.attempts, audit.c.report)
                )
            ).one_or_none()
        if row is None:
            return None
        return ReconciliationClaim(
            request_id,
            IngestionId(asked.ingestion_id),
            asked.generation,
            asked.kind,
            asked.options,
            row.token,
            row.attempts,
            row.report,
        )

    async def extend(self, claim: ReconciliationClaim) -> None:
        """Heartbeat. Raises ``Fenced`` when the claim is lost."""
        async with self._database.begin() as connection:
            await self.hold(connection, claim)

    async def about_to_publish(self, claim: ReconciliationClaim, report: Mapping[str, Any]) -> None:
        """What will have been done when the publish that follows arrives. Raises ``Fenced`` when the claim is lost."""
        async with self._database.begin() as connection:
            await self.hold(connection, claim, report=dict(report))

    async def decisions(self, claim: ReconciliationClaim) -> Decisions:
        """What somebody decided about the columns."""
        async with self._database.read() as connection:
            return await column_decisions.decisions(connection, claim.ingestion_id)

    async def done(self, claim: ReconciliationClaim, report: Mapping[str, Any]) -> None:
        """It ended with this report."""
        async with self._database.begin() as connection:
            await self.hold(connection, claim, state=DONE, report=dict(report), ended_at=func.clock_timestamp())

    async def hold(self, connection: AsyncConnection, claim: ReconciliationClaim, **values: Any) -> None:
        """The guarded UPDATE that every write of a claim's holder begins with, in the same transaction.

        Raises:
            Fenced: the claim is lost.
        """
        held = await connection.execute(
            update(audit)
            .where(audit.c.id == claim.id, audit.c.token == claim.token, audit.c.state == RUNNING)
            .values(**{**self._fresh(), **values})
        )
        if held.rowcount == 0:
            raise Fenced(f"{claim.kind} {claim.id}")

    async def batches(self, ingestion_id: IngestionId) -> tuple[BatchRow, ...]:
        """The batches of all generations."""
        query = select(
            batch.c.id, batch.c.generation, batch.c.state, batch.c.snapshot_id, batch.c.row_count, batch.c.rows_removed
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query.where(batch.c.ingestion_id == ingestion_id))
            return tuple(
                BatchRow(str(r.id), r.generation, BatchState(r.state), r.snapshot_id, r.row_count or 0, r.rows_removed)
                for r in rows
            )

    async def files_committed(self, ingestion_id: IngestionId, generation: int) -> int:
        query = (
            select(func.count())
            .select_from(file)
            .where(
                file.c.ingestion_id == ingestion_id,
                file.c.generation == generation,
                file.c.state == FileState.COMMITTED,
            )
        )
        async with self._database.read() as connection:
            return int(await connection.scalar(query) or 0)

    async def quarantined(self, ingestion_id: IngestionId, generation: int) -> dict[str, int]:
        """How many records of the committed files did not fit, by the batch that loaded them."""
        query = (
            select(file.c.batch_id, func.sum(quarantined.c.records))
            .join_from(quarantined, file, are_of(file))
            .where(
                file.c.ingestion_id == ingestion_id,
                file.c.generation == generation,
                file.c.state == FileState.COMMITTED,
            )
            .group_by(file.c.batch_id)
        )
        async with self._database.read() as connection:
            return {str(batch_id): int(records) for batch_id, records in await connection.execute(query)}

    async def versions(
        self, ingestion_id: IngestionId, generation: int, digests: Sequence[bytes]
    ) -> dict[bytes, list[VersionRow]]:
        """All versions that the ledger has of these keys, by digest."""
        query = select(file.c.key_digest, file.c.version_tag, file.c.state, file.c.batch_id).where(
            file.c.ingestion_id == ingestion_id,
            file.c.generation == generation,
            file.c.key_digest == func.any(list(digests)),
        )
        found: dict[bytes, list[VersionRow]] = {}
        async with self._database.read() as connection:
            for r in await connection.execute(query):
                batch_id = str(r.batch_id) if r.batch_id else None
                row = VersionRow(r.version_tag, FileState(r.state), batch_id)
                found.setdefault(bytes(r.key_digest), []).append(row)
        return found

    def _fresh(self) -> dict[str, Any]:
        return {"lease_until": func.clock_timestamp() + self._lease}
