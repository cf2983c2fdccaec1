"""The right to work on a batch: who has it, until when, and the guard of everything that is done with it.

The functions run inside the transactions of ``batches.py``.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.scope import Lane
from libs.common.errors import Fenced
from libs.common.ids import BatchId, IngestionId, RunId
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState
from libs.common.ledger.tables import batch, batch_attempt

_UNFINISHED = batch.c.state.not_in(FINAL_BATCH_STATES)
_UNLEASED = or_(batch.c.lease_until.is_(None), batch.c.lease_until < func.clock_timestamp())


class BatchClaims:
    """Claims of one process, ``owner``. The lease is on the database clock."""

    def __init__(self, owner: str, lease: timedelta) -> None:
        self._owner = owner
        self._lease = lease

    async def take(self, connection: AsyncConnection, batch_id: BatchId) -> BatchClaim | None:
        """None while somebody else holds the batch, or when it is finished."""
        found = (
            await connection.execute(
                select(batch.c.state)
                .where(batch.c.id == batch_id, _UNFINISHED, _UNLEASED)
                .with_for_update(skip_locked=True)
            )
        ).one_or_none()
        if found is None:
            return None
        # A burn that was begun stays one.
        is_burning = found.state == BatchState.BURNING
        return await self._grant(connection, batch_id, BatchState.BURNING if is_burning else BatchState.LEASED)

    async def seize(self, connection: AsyncConnection, batch_id: BatchId) -> BatchClaim:
        """Takes the batch, which the caller has locked, away from whoever holds it, to burn it."""
        return await self._grant(connection, batch_id, BatchState.BURNING)

    async def move(self, connection: AsyncConnection, claim: BatchClaim, **values: Any) -> Any:
        """The guarded UPDATE: the claim's token, an unfinished state, and a fresh lease. Returns the batch's row.

        Raises:
            Fenced: the claim is lost; nothing was written.
        """
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

    async def end(self, connection: AsyncConnection, claim: BatchClaim, *, outcome: str, **values: Any) -> Any:
        """As ``move``, and the last thing that this claim does."""
        row = await self.move(connection, claim, **values)
        await connection.execute(
            update(batch_attempt)
            .where(batch_attempt.c.batch_id == claim.id, batch_attempt.c.token == claim.token)
            .values(ended_at=func.clock_timestamp(), outcome=outcome, error=values.get("last_error"))
        )
        return row

    async def extend(self, connection: AsyncConnection, claim: BatchClaim) -> None:
        """A full lease from now; nothing if this claim has ended the batch itself. Raises as ``move``."""
        try:
            await self.move(connection, claim)
        except Fenced:
            token = await connection.scalar(select(batch.c.token).where(batch.c.id == claim.id))
            if token != claim.token:
                raise

    async def _grant(self, connection: AsyncConnection, batch_id: BatchId, state: BatchState) -> BatchClaim:
        row = (
            await connection.execute(
                update(batch)
                .where(batch.c.id == batch_id)
                .values(
                    token=batch.c.token + 1,
                    attempts=batch.c.attempts + 1,
                    state=state,
                    owner=self._owner,
                    **self._fresh(),
                )
                .returning(batch)
            )
        ).one()
        await connection.execute(batch_attempt.insert().values(batch_id=batch_id, token=row.token, owner=self._owner))
        return BatchClaim(
            id=batch_id,
            run_id=RunId(row.run_id),
            ingestion_id=IngestionId(row.ingestion_id),
            generation=row.generation,
            token=row.token,
            attempt=row.attempts,
            replaces_rows=row.replaces_rows,
        )

    def _fresh(self) -> dict[str, Any]:
        return {"lease_until": func.clock_timestamp() + self._lease, "updated_at": func.clock_timestamp()}


async def claimable(connection: AsyncConnection, *, planned_before: timedelta, limit: int, lane: Lane) -> list[BatchId]:
    """Batches of a lane that nobody works on, oldest first."""
    rows = await connection.scalars(
        select(batch.c.id)
        .where(_UNFINISHED, batch.c.lane == lane, _is_left_alone(planned_before))
        .order_by(batch.c.created_at)
        .limit(limit)
    )
    return [BatchId(batch_id) for batch_id in rows]


def _is_left_alone(planned_before: timedelta) -> ColumnElement[bool]:
    """Its lease ended, or no executor came for so long."""
    now = func.clock_timestamp()
    waits = and_(batch.c.lease_until.is_(None), batch.c.updated_at < now - planned_before)
    return or_(batch.c.lease_until < now, waits)
