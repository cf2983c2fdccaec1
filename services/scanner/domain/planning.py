"""Cutting a stream of new files into batches, by number of files and by bytes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from libs.common.ids import BatchId, new_batch_id
from libs.common.ledger.model.batches import PlannedBatch
from libs.common.ledger.model.files import FileVersion


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
        self, limits: Limits, new_id: Callable[[], BatchId] = new_batch_id, *, replaces_rows: bool = False
    ) -> None:
        """``replaces_rows``: its batches take the place of what is loaded of their files (``PlannedBatch``)."""
        self._limits = limits
        self._replaces_rows = replaces_rows
        self._new_id = new_id
        self._open: dict[bytes, FileVersion] = {}
        self._open_bytes = 0

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
        return tuple(full)

    def rest(self) -> tuple[PlannedBatch, ...]:
        """The last batch, if any file is left."""
        return (self._close(),) if self._open else ()

    def _close(self) -> PlannedBatch:
        batch = PlannedBatch(self._new_id(), tuple(self._open.values()), self._replaces_rows)
        self._open, self._open_bytes = {}, 0
        return batch
