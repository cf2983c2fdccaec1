"""States of files, batches and scans: what each one means, and what a crash in it leaves behind."""

from enum import StrEnum
from typing import Final


class FileState(StrEnum):
    """Where one version of one file stands."""

    DISCOVERED = "discovered"
    """Seen, in no batch. The next scan of the ingestion takes it."""

    BATCHED = "batched"
    """In a live batch. The batch decides."""

    COMMITTED = "committed"
    """Its rows are in the table, once. Never read again."""

    QUARANTINED = "quarantined"
    """Set aside as a whole, with its reason; replayable."""

    FAILED = "failed"
    """Could not be loaded because of what it holds. A new version of the key, or a reload, revives it."""

    MISSING = "missing"
    """Listed, but gone before it was read. Comes back when the key comes back."""

    SUPERSEDED = "superseded"
    """Overwritten before it was loaded, or its rows gave way to a newer version's."""

    SKIPPED = "skipped"
    """Overwrote a file that is loaded, and ``allow_overwrites`` leaves it: the earlier version's rows stay. Open to the
    next run under a policy that loads overwrites, and to a reload."""

    BASELINE = "baseline"
    """Counts as loaded, and its rows are elsewhere: in the table of an older generation, after a new-only refresh."""


LIVE_FILE_STATES: Final = frozenset(
    {FileState.DISCOVERED, FileState.BATCHED, FileState.COMMITTED, FileState.QUARANTINED, FileState.BASELINE}
)
"""A key has at most one version in these states, but for loaded ones beside which a later version was taken
(``allow_overwrites: append``): they are marked as overwritten."""

LOADED_FILE_STATES: Final = frozenset({FileState.COMMITTED, FileState.BASELINE})
"""Was loaded: another version of the key is an overwrite."""


UNDECIDED_FILE_STATES: Final = LIVE_FILE_STATES - LOADED_FILE_STATES
"""Waits, is in work, or is set aside: what becomes of the key is open."""


class BatchState(StrEnum):
    """Where one batch stands. Everything before *published* is picked up by a sweeper when its lease ends."""

    PLANNED = "planned"
    """Waits for an executor. Lost wake-up: a sweeper finds it."""

    LEASED = "leased"
    """An executor reads it. Crash: a staged snapshot may exist that no reader sees."""

    STAGED = "staged"
    """A staged snapshot passed its audit. Crash: publish it, or stage again."""

    PUBLISHING = "publishing"
    """The publish was sent. Crash: only the table knows; read back."""

    PUBLISHED = "published"
    """In the table, once. Final."""

    BURNING = "burning"
    """An empty snapshot takes the batch's wap id. Crash: read back, burn again."""

    BURNED = "burned"
    """Can never be published. Final; its files moved on."""


FINAL_BATCH_STATES: Final = frozenset({BatchState.PUBLISHED, BatchState.BURNED})


class ScanState(StrEnum):
    """Where the listing of one run stands."""

    SCANNING = "scanning"
    """A scanner lists. Crash: the lease ends and the listing starts again; files that are batched are skipped."""

    SCANNED = "scanned"
    """Listed to the end; batches are under way."""

    BROKEN = "broken"
    """The listing failed for good; batches that were planned before go on."""

    ENDED = "ended"
    """No batch is left: the run is over."""
