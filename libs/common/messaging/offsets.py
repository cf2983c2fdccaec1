"""Which offsets may be committed: bookkeeping of the finished prefix of each partition. No I/O.

Messages finish out of order, but a committed offset says "everything before me is done". So each partition
commits up to its oldest unfinished message and no further. Offsets may have gaps (compaction); a gap is
nobody's work and holds nothing up.

Each tracked message gets a ``Ticket``. Tickets die with their partition's term, which ends when the partition is
forgotten (the group moved it) or when its offsets go back (the topic was made anew, or somebody reset the
group). Finishing with a dead ticket changes nothing.
"""

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from libs.common.messaging.ports import Partition


class Ticket(NamedTuple):
    """The right to report one message as finished."""

    partition: Partition
    offset: int
    term: int


class _Prefix:
    """One term of one partition."""

    __slots__ = ("committed", "finished", "next_offset", "term", "unfinished")

    def __init__(self, term: int, first: int) -> None:
        self.term = term
        self.unfinished: deque[int] = deque()  # ascending; its head is the oldest unfinished offset
        self.finished: set[int] = set()  # finished, but behind an unfinished one
        self.next_offset = first
        self.committed = first

    @property
    def safe(self) -> int:
        """The offset that may be committed: everything before it is finished."""
        return self.unfinished[0] if self.unfinished else self.next_offset

    def finish(self, offset: int) -> None:
        self.finished.add(offset)
        while self.unfinished and self.unfinished[0] in self.finished:
            self.finished.discard(self.unfinished.popleft())


class Offsets:
    """The finished prefixes of all partitions that this consumer holds."""

    def __init__(self) -> None:
        self._prefixes: dict[Partition, _Prefix] = {}
        self._terms = 0

    def track(self, partition: Partition, offset: int) -> Ticket:
        """The message at ``offset`` was received. Offsets of a partition ascend, or else a new term begins."""
        prefix = self._prefixes.get(partition)
        if prefix is None or offset < prefix.next_offset:
            self._terms += 1
            prefix = self._prefixes[partition] = _Prefix(self._terms, offset)
        prefix.unfinished.append(offset)
        prefix.next_offset = offset + 1
        return Ticket(partition, offset, prefix.term)

    def is_valid(self, ticket: Ticket) -> bool:
        """Whether finishing with this ticket still means something."""
        prefix = self._prefixes.get(ticket.partition)
        return prefix is not None and prefix.term == ticket.term

    def finish(self, ticket: Ticket) -> None:
        """The effect of the message is durable. May be said twice."""
        prefix = self._prefixes.get(ticket.partition)
        if prefix is not None and prefix.term == ticket.term and ticket.offset >= prefix.safe:
            prefix.finish(ticket.offset)

    def to_commit(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """Offsets that are safe and that the broker does not have yet; of all partitions, or of these."""
        return {
            partition: prefix.safe
            for partition, prefix in self._prefixes.items()
            if prefix.safe > prefix.committed and (partitions is None or partition in partitions)
        }

    def committed(self, offsets: dict[Partition, int]) -> None:
        """The broker has them."""
        for partition, offset in offsets.items():
            prefix = self._prefixes.get(partition)
            if prefix is not None and offset <= prefix.next_offset:
                prefix.committed = max(prefix.committed, offset)

    def forget(self, partitions: Collection[Partition]) -> None:
        """The partitions are somebody else's now."""
        for partition in partitions:
            self._prefixes.pop(partition, None)
