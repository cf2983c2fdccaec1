"""Cutting a stream of new files into batches: by number of files, by bytes, and where nothing new has come for a while,
since executors need not wait for the end of a long listing."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from libs.common.ids import BatchId, new_batch_id
from libs.common.ledger.model.batches import PlannedBatch
from libs.common.ledger.model.files import FileVersion

QUIET_S = 0.5
"""An open batch waits so long for another file; after each batch that ended so, twice as long. So a listing of an hour
that finds a file now and then makes a dozen small commits more, not a thousand."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may hold. A single file beyond ``bytes_max`` is a batch of its own."""

    files_max: int
    bytes_max: int


class BatchPlanner:
    """Takes files as a listing brings them and gives back batches as they fill up. Holds one open batch at most.

    A key is in the open batch once: when a listing names it again, the later version takes the earlier one's place.
    """

    def __init__(
        self,
        limits: Limits,
        new_id: Callable[[], BatchId] = new_batch_id,
        *,
        replaces_rows: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``replaces_rows``: its batches take the place of what is loaded of their files (``PlannedBatch``). ``clock``
        gives seconds."""
        self._limits = limits
        self._replaces_rows = replaces_rows
        self._new_id = new_id
        self._open: dict[bytes, FileVersion] = {}
        self._open_bytes = 0
        self._clock = clock
        self._added_at = clock()
        self._quiet_s = QUIET_S

    def add(self, files: Iterable[FileVersion]) -> tuple[PlannedBatch, ...]:
        """The batches that these files completed, in order."""
        full: list[PlannedBatch] = []
        for f in files:
            digest = f.digest
            if (earlier := self._open.pop(digest, None)) is not None:
                self._open_bytes -= earlier.size_bytes
            if self._open and self._open_bytes + f.size_bytes > self._limits.bytes_max:
                full.append(self._close())
            self._open[digest] = f
            self._open_bytes += f.size_bytes
            if len(self._open) >= self._limits.files_max or self._open_bytes >= self._limits.bytes_max:
                full.append(self._close())
            self._added_at = self._clock()
        return tuple(full)

    def quiet(self) -> tuple[PlannedBatch, ...]:
        """The open batch, if no file was added for a while."""
        if not self._open or self._clock() - self._added_at < self._quiet_s:
            return ()
        self._quiet_s *= 2
        return (self._close(),)

    def resume(self, limits: Limits) -> None:
        """The listing stood still, and goes on: that was no time in which nothing came. From now on batches hold as
        much as ``limits`` say; the open one, too, when the next file comes."""
        self._added_at = self._clock()
        self._limits = limits

    def rest(self) -> tuple[PlannedBatch, ...]:
        """The last batch, if any file is left."""
        return (self._close(),) if self._open else ()

    def _close(self) -> PlannedBatch:
        batch = PlannedBatch(self._new_id(), tuple(self._open.values()), self._replaces_rows)
        self._open, self._open_bytes = {}, 0
        return batch
