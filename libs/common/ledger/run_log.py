"""The run's row in the ledger: its numbers, and the counter that puts its events in order.

Every event on the run-status topic is recorded here first, in the transaction of the change that it tells of:
lock the run's scan row, add to its totals, take the next ``seq``, enqueue. The lock makes seq order, outbox
order and commit order the same, without a gap. Whoever brings the last change also ends the run, once (F37).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import RunCompleted, RunFact, Totals
from libs.common.contracts.topics import RUN_STATUS
from libs.common.errors import Fenced
from libs.common.ids import IngestionId, RunId
from libs.common.ledger.states import ScanState
from libs.common.ledger.tables import ingestion, scan
from libs.common.lifecycle.run import outcome
from libs.common.storage.outbox import Outbox

PROBLEMS_IN_AN_EVENT_MAX = 50
"""A message stays small: it tells the first problems, the ledger has all."""

_COUNTERS = frozenset(Totals.model_fields) - {"files_skipped", "schema_version"}


@dataclass(frozen=True, slots=True)
class Header:
    """The fields that every fact of a run has. ``fields()`` goes into the event's constructor."""

    run_id: UUID
    ingestion_id: UUID
    generation: int
    seq: int
    occurred_at: datetime
    totals: Totals

    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def add(totals: Totals, change: Totals) -> Totals:
    """``totals`` after ``change``: counters add up; the skip count and the schema version only move forward."""
    return Totals(
        **{name: getattr(totals, name) + getattr(change, name) for name in _COUNTERS},
        files_skipped=max(totals.files_skipped, change.files_skipped),
        schema_version=max(filter(None, (totals.schema_version, change.schema_version)), default=None),
    )


def is_over(state: ScanState, totals: Totals) -> bool:
    """Whether nothing of the run is left to do: the listing ended, and every batch found its end."""
    return state in (ScanState.SCANNED, ScanState.BROKEN) and totals.batches_done == totals.batches_planned


async def begin_run(connection: AsyncConnection, run_id: RunId, ingestion_id: IngestionId, generation: int) -> None:
    """Makes the run's row, unless it is there."""
    await connection.execute(
        insert(scan)
        .values(run_id=run_id, ingestion_id=ingestion_id, generation=generation, state=ScanState.SCANNING,
                totals=Totals().model_dump())
        .on_conflict_do_nothing()
    )  # fmt: skip


class RunLog:
    """Records facts of runs. Used inside the transactions of ``scans.py`` and ``batches.py``."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def record(
        self,
        connection: AsyncConnection,
        run_id: RunId,
        fact: Callable[[Header], RunFact],
        *,
        change: Totals | None = None,
        scan_state: ScanState | None = None,
    ) -> Totals:
        """Adds ``change`` to the run's totals, moves its scan to ``scan_state``, and enqueues the fact.

        Ends the run as well, if this was the last thing it waited for. Returns the run's new totals.

        Raises:
            Fenced: the run has ended already.
        """
        return await self.record_all(connection, run_id, [(fact, change or Totals())], scan_state=scan_state)

    async def record_all(
        self,
        connection: AsyncConnection,
        run_id: RunId,
        facts: Sequence[tuple[Callable[[Header], RunFact], Totals]],
        *,
        scan_state: ScanState | None = None,
    ) -> Totals:
        """As ``record``, for several facts that become true together, each with its change. At least one."""
        # NO KEY UPDATE: a transaction that planned a batch holds KEY SHARE on this row already, through the batch's
        # foreign key. Two of those would wait for each other here.
        locked = select(scan).where(scan.c.run_id == run_id).with_for_update(key_share=True)
        row = (await connection.execute(locked)).one_or_none()
        if row is None or row.state == ScanState.ENDED:
            raise Fenced(f"run {run_id}")
        totals, seq = Totals.model_validate(row.totals), int(row.seq)
        state = scan_state or ScanState(row.state)
        now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()

        def header() -> Header:
            return Header(run_id, row.ingestion_id, row.generation, seq, now, totals)

        for fact, change in facts:
            totals, seq = add(totals, change), seq + 1
            await self._outbox.enqueue(connection, RUN_STATUS, fact(header()))
        values: dict[str, Any] = {"totals": totals.model_dump(), "seq": seq, "state": state, "updated_at": now}
        if scan_state is ScanState.SCANNED:
            values["was_listed"] = True
        if is_over(state, totals):
            seq += 1
            end = outcome(
                totals,
                scan_failed=state is ScanState.BROKEN,
                cancelled=row.cancelled_at is not None
                or await _is_outlived(connection, row.ingestion_id, row.generation),
                aborted=row.aborted_at is not None,
            )
            await self._outbox.enqueue(connection, RUN_STATUS, RunCompleted(**header().fields(), outcome=end))
            values |= {"seq": seq, "state": ScanState.ENDED, "outcome": end, "ended_at": now}
        await connection.execute(update(scan).where(scan.c.run_id == run_id).values(**values))
        return totals


async def _is_outlived(connection: AsyncConnection, ingestion_id: UUID, generation: int) -> bool:
    """Whether a refresh has begun a newer generation: what was under way in this one was stopped on request."""
    live = select(ingestion.c.generation).where(ingestion.c.ingestion_id == ingestion_id)
    return (await connection.scalar(live) or generation) > generation
