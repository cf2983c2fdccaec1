"""What a sweep decides. Pure: rows in, decisions out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from libs.common.contracts.events import Problem, RunCompleted, Totals

REPEAT_MAX = timedelta(minutes=5)


@dataclass(slots=True)
class Reminders:
    """Which run requests are due to be repeated.

    Each repetition doubles the pause, from the sweep interval up to ``REPEAT_MAX``: a scanner that is away for a
    night must not come back to thousands of equal messages.
    """

    interval: timedelta
    _asked: dict[UUID, tuple[int, datetime]] = field(default_factory=dict)

    def due(self, waiting: Mapping[UUID, datetime], now: datetime) -> list[UUID]:
        """The runs to ask for again at ``now``. ``waiting``: runs without a scan, and when each was dispatched."""
        for run_id in self._asked.keys() - waiting.keys():
            del self._asked[run_id]
        due = []
        for run_id, dispatched_at in waiting.items():
            times, last = self._asked.get(run_id, (0, dispatched_at))
            if now - last >= min(REPEAT_MAX, self.interval * 2 ** min(times, 16)):
                self._asked[run_id] = (times + 1, now)
                due.append(run_id)
        return due


def completion_of(scan: Mapping[str, Any]) -> RunCompleted:
    """The last fact of a run, from the ledger's row of it (``ledger.scan``, state ended)."""
    return RunCompleted(
        run_id=scan["run_id"],
        ingestion_id=scan["ingestion_id"],
        generation=scan["generation"],
        seq=max(1, scan["seq"]),
        occurred_at=scan["ended_at"],
        totals=Totals.model_validate(scan["totals"]),
        outcome=scan["outcome"],
    )


def problem_of(file: Mapping[str, Any]) -> Problem:
    """A file's failure, from the ledger's row of it."""
    return Problem(
        error_type=file["error_type"] or "file_failed",
        message=file["error_message"] or "the file could not be loaded",
        file=f"s3://{file['bucket']}/{file['key']}",
    )
