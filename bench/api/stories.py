"""Facts of made-up runs, as scanner and executor would tell them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from libs.common.contracts.codec import encode
from libs.common.contracts.events import (
    FileBatchCommitted,
    RunCompleted,
    RunFact,
    ScanCompleted,
    ScanProgress,
    ScanStarted,
    Totals,
)
from libs.common.contracts.topics import RUN_STATUS
from libs.common.messaging.ports import Outgoing

BATCHES = 8
FACTS = 2 * BATCHES + 3
"""Of one run."""


@dataclass(frozen=True, slots=True)
class Told:
    """One fact, on its way."""

    run_id: UUID
    seq: int
    message: Outgoing


def story(run_id: UUID, ingestion_id: UUID, prefix: str) -> Iterator[Told]:
    """A run with so many pages and batches, from its start to its end. Each fact is made when it is asked for."""
    totals = Totals()

    def told(fact: type[RunFact], seq: int, **more: Any) -> Told:
        now = datetime.now(UTC)
        made = fact(
            run_id=run_id, ingestion_id=ingestion_id, generation=1, seq=seq, occurred_at=now, totals=totals, **more
        )
        value = encode(made, source="autoloader/bench", time=now)
        return Told(run_id, seq, Outgoing(RUN_STATUS.name(prefix), str(run_id), value))

    yield told(ScanStarted, 1, attempt=1)
    for page in range(1, BATCHES + 1):
        totals = totals.model_copy(update={"files_discovered": 100 * page, "batches_planned": page})
        yield told(ScanProgress, 1 + page)
    yield told(ScanCompleted, 2 + BATCHES)
    for batch in range(1, BATCHES + 1):
        totals = totals.model_copy(
            update={"files_done": 100 * batch, "batches_done": batch, "records_ingested": 100_000 * batch}
        )
        yield told(
            FileBatchCommitted, 2 + BATCHES + batch,
            batch_id=uuid4(), snapshot_id=batch, files=100, records=100_000, size_bytes=10_000_000,
        )  # fmt: skip
    yield told(RunCompleted, FACTS, outcome="success")
