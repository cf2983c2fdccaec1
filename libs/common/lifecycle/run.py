"""States of a run, and how facts move it.

Nothing else changes a run's state. ``advance`` folds one run-status event into the run; it is built so that
messages may come twice and in any order and still end in the same run (tests/property/test_run_lifecycle.py):

- totals are cumulative and belong to the highest ``seq`` seen: an older event cannot take them back;
- problems, snapshots and warnings are sets: a late event may still add its own;
- a final state stays final, with its totals and its end time.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.common.contracts.events import (
    FileBatchCommitted,
    FileBatchFailed,
    Problem,
    RunCompleted,
    RunFact,
    RunOutcome,
    ScanCompleted,
    ScanFailed,
    ScanProgress,
    Totals,
)


class RunStatus(StrEnum):
    """Where a run stands. Each state says what a crash leaves behind, and who repairs it."""

    ACCEPTED = "accepted"
    """Asked for, not begun. Lost request: a scanner's sweeper begins the run all the same."""

    RUNNING = "running"
    """A scanner or an executor is at work. Lost worker: its lease ends and a sweeper hands the work on."""

    SUCCESS = "success"
    """Every record of every file that was found is in the table."""

    PARTIAL = "partial"
    """Some is in the table; other files failed, or records were set aside. ``errors`` names them."""

    FAILED = "failed"
    """Nothing was loaded, and something went wrong; or it was ended for its first bad record (``on_error: abort``)."""

    CANCELLED = "cancelled"
    """Stopped on request; what was under way was burned."""


FINAL: Final = frozenset({RunStatus.SUCCESS, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.CANCELLED})

TRANSITIONS: Final[dict[RunStatus, frozenset[RunStatus]]] = {
    RunStatus.ACCEPTED: frozenset({RunStatus.RUNNING}) | FINAL,
    RunStatus.RUNNING: FINAL,
    RunStatus.SUCCESS: frozenset(),
    RunStatus.PARTIAL: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}
"""The whole state machine; docs/reference/run-lifecycle.md is generated from it."""


EFFECTIVELY_ONCE = (
    "the table refuses the property write.wap.enabled, so its batches are loaded effectively once, not exactly once: "
    "allow the cluster to set it"
)


@dataclass(frozen=True, slots=True)
class Run:
    """What the API knows of a run, folded from its facts."""

    status: RunStatus = RunStatus.ACCEPTED
    seq: int = 0
    totals: Totals = field(default_factory=Totals)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    problems: frozenset[Problem] = frozenset()
    snapshots: frozenset[int] = frozenset()
    warnings: frozenset[str] = frozenset()


def advance(run: Run, fact: RunFact) -> Run:
    """The run after ``fact``. The same run, if the fact tells nothing new."""
    run = _with_details(run, fact)
    if run.status in FINAL:
        return run
    if fact.seq > run.seq:
        run = replace(run, seq=fact.seq, totals=fact.totals)
    if isinstance(fact, RunCompleted):
        return replace(run, status=RunStatus(fact.outcome), ended_at=fact.occurred_at)
    return replace(run, status=RunStatus.RUNNING)


def _with_details(run: Run, fact: RunFact) -> Run:
    """What a fact adds whenever it comes: sets grow, the start moves only backwards."""
    started_at = min(run.started_at, fact.occurred_at) if run.started_at else fact.occurred_at
    run = replace(run, started_at=started_at)
    match fact:
        case ScanCompleted(warnings=warnings):
            return replace(run, warnings=run.warnings | frozenset(warnings))
        case ScanFailed(problem=problem):
            return replace(run, problems=run.problems | {problem})
        case FileBatchFailed(problems=problems) | ScanProgress(problems=problems):
            return replace(run, problems=run.problems | frozenset(problems))
        case FileBatchCommitted(snapshot_id=snapshot_id, guarantee=guarantee, warnings=warnings, problems=problems):
            label = frozenset[str]() if guarantee == "exactly_once" else frozenset({EFFECTIVELY_ONCE})
            return replace(
                run,
                snapshots=run.snapshots | {snapshot_id},
                warnings=run.warnings | label | frozenset(warnings),
                problems=run.problems | frozenset(problems),
            )
        case _:
            return run


def outcome(totals: Totals, *, scan_failed: bool, cancelled: bool = False, aborted: bool = False) -> RunOutcome:
    """How a run that has nothing left to do ended.

    A file that failed, records that were set aside, or a listing that broke off, makes it ``partial``; ``failed`` when
    nothing was loaded, or when it was aborted.
    """
    if cancelled:
        return "cancelled"
    if aborted:
        return "failed"
    if totals.files_failed == 0 and totals.records_quarantined == 0 and not scan_failed:
        return "success"
    loaded_nothing = totals.files_done == 0 or (totals.records_quarantined > 0 and totals.records_ingested == 0)
    return "failed" if loaded_nothing else "partial"
