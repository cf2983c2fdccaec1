"""Watching a run until it is over, with a patience that has an end and says what it waits for.

A worker that was killed in the middle of a batch leaves a lease behind. The batch moves on when the lease has run out
and an executor is there: for that long nothing happens, and that is not yet a failure.
"""

import time
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from client.answers import Run
from client.demo.screen import Bar
from client.demo.trouble import DemoTrouble
from client.rest import ApiAway

POLL_S = 0.25
SAY_SO_AFTER_S = 15.0
GIVE_UP_AFTER_S = 180.0


class Runs(Protocol):
    """The one request that watching needs."""

    def run(self, ingestion_id: UUID, run_id: UUID) -> Run: ...


def follow(
    api: Runs,
    ingestion_id: UUID,
    run_id: UUID,
    bar: Bar,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Run:
    """Polls until the run is over and returns it as it ended, good or bad.

    Raises:
        DemoTrouble: nothing changed for ``GIVE_UP_AFTER_S`` seconds.
    """
    known: Run | None = None
    changed_at, told_at = clock(), 0.0
    while True:
        problem: ApiAway | None = None
        try:
            run = api.run(ingestion_id, run_id)
        except ApiAway as e:  # an API that restarts is not the end of the run
            problem = e
        else:
            if known is None or what_counts(run) != what_counts(known):
                changed_at, told_at = clock(), 0.0
                bar.show(run.progress.files_done, run.progress.files_discovered, numbers_of(run))
            known = run
            if run.is_over:
                return run
        quiet_s = clock() - changed_at
        if quiet_s >= GIVE_UP_AFTER_S:
            raise DemoTrouble(
                f"nothing has moved for {quiet_s:.0f} s ({what_is_missing(known, problem)})",
                "See `autoloader dev status` and `autoloader dev logs`; then repeat the demo, it goes on from there.",
            )
        if quiet_s - told_at >= SAY_SO_AFTER_S:
            told_at = quiet_s
            bar.note(
                f"nothing has moved for {quiet_s:.0f} s: {what_is_missing(known, problem)}; "
                f"giving up in {GIVE_UP_AFTER_S - quiet_s:.0f} s"
            )
        sleep(POLL_S)


def what_counts(run: Run) -> object:
    """What has to change for a run to have moved. Its duration grows by itself, also while nobody works on it."""
    return run.status, run.progress, run.metrics.files_processed, run.metrics.records_ingested, len(run.errors)


def numbers_of(run: Run) -> str:
    """What a person wants to read beside the bar."""
    progress, metrics = run.progress, run.metrics
    return f"{metrics.records_ingested:,} records  {progress.batches_done}/{progress.batches_planned} batches"


def what_is_missing(run: Run | None, problem: ApiAway | None) -> str:
    """Who has to move next, in words: the first of the three services that has not done its part."""
    if problem is not None or run is None:
        return "waiting for the API to answer again"
    if run.status == "accepted":
        return run.waiting_on or "waiting for a scanner to take the run"
    if run.progress.batches_done < run.progress.batches_planned:
        open_batches = run.progress.batches_planned - run.progress.batches_done
        return (
            f"waiting for an executor to take up {open_batches} {'batch' if open_batches == 1 else 'batches'}; "
            "one that was killed keeps its batches until their leases end, then any running executor goes on"
        )
    return "waiting for the scanner to finish its listing"
