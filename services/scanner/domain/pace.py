"""How large batches should be, by how long those before them took. Pure.

What is in work when an executor dies is done again, and a batch holds its slot until it ends; so none should take more
than some minutes, however slow the cluster is. How slow that is, nobody has to say: past batches tell.
"""

import statistics
from collections.abc import Iterable, Sequence
from datetime import timedelta

from libs.common.ledger.model.batches import PastBatch
from services.scanner.domain.planning import Limits

TELLING = timedelta(seconds=10)
"""What took less, tells nothing: much of it was spent on what every batch costs."""
_SMALLEST = 0.1
"""A batch shrinks to this share of what it may hold, no further: each is a snapshot, with data files of its own."""


def paced(limits: Limits, past: Sequence[PastBatch], target: timedelta) -> Limits:
    """The limits of batches that take ``target`` at most, if they go as fast as the median of ``past``; never above
    ``limits``. A batch tells of what it had more of, for these limits: of its files, or of its bytes. It has to have as
    much as the smallest that are cut: most of a smaller one's time is what a batch costs in any case."""
    files_min, bytes_min = limits.files_max * _SMALLEST, limits.bytes_max * _SMALLEST
    full_of_files = [b for b in past if _is_filled_by_files(b, limits)]
    by_files = [b.files / b.seconds for b in full_of_files if b.files >= files_min]
    full_of_bytes = [b for b in past if not _is_filled_by_files(b, limits)]
    by_bytes = [b.size_bytes / b.seconds for b in full_of_bytes if b.size_bytes >= bytes_min]
    return Limits(
        _at_most(limits.files_max, by_files, target),
        _at_most(limits.bytes_max, by_bytes, target),
    )


def _is_filled_by_files(batch: PastBatch, limits: Limits) -> bool:
    return batch.files * limits.bytes_max >= batch.size_bytes * limits.files_max


def _at_most(limit: int, per_second: Iterable[float], target: timedelta) -> int:
    measured = [*per_second]
    if not measured:
        return limit
    fitting = int(statistics.median(measured) * target.total_seconds())
    return max(1, min(limit, max(fitting, int(limit * _SMALLEST))))
