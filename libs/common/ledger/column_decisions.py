"""Which fields may become columns: what somebody decided, and what waits for a decision.

An executor proposes a column once; whoever decides may decide again. A decision holds for the ingestion, in every
generation of its table: a refresh does not bring back a column that was rejected.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.columns import Decisions, Proposal
from libs.common.ledger.tables import column_decision, storable

Verdict = Literal["approved", "rejected"]


async def decisions(connection: AsyncConnection, ingestion_id: UUID) -> Decisions:
    """Everything that was decided."""
    query = select(column_decision.c.column, column_decision.c.state)
    rows = (await connection.execute(query.where(column_decision.c.ingestion_id == ingestion_id))).all()
    approved, rejected = (frozenset(r.column for r in rows if r.state == state) for state in ("approved", "rejected"))
    return Decisions(approved, rejected)


async def propose(connection: AsyncConnection, claim: BatchClaim, proposals: Sequence[Proposal]) -> None:
    """From now on these wait for a decision. Of a column that was proposed or decided before, the first word stays."""
    rows = [
        {
            **asdict(proposal),
            "example": None if proposal.example is None else storable(proposal.example),
            "ingestion_id": claim.ingestion_id,
            "state": "held",
            "run_id": claim.run_id,
        }
        for proposal in proposals
    ]
    if rows:
        await connection.execute(insert(column_decision).on_conflict_do_nothing(), rows)


async def decide(
    connection: AsyncConnection, ingestion_id: UUID, proposals: Sequence[Proposal], verdict: Verdict, *, by: str
) -> None:
    """From the next batch on, this holds of these columns, whatever was decided before."""
    statement = insert(column_decision)
    decided = {"state": verdict, "decided_at": func.now(), "decided_by": by}
    for proposal in proposals:
        row = {**asdict(proposal), "ingestion_id": ingestion_id, **decided}
        keys = [column_decision.c.ingestion_id, column_decision.c.column]
        await connection.execute(statement.values(**row).on_conflict_do_update(index_elements=keys, set_=decided))
