"""What is in a table's ancestry, by what its snapshots say of themselves.

A staged snapshot has its ``wap.id``. Published by fast-forward it is the current one, and keeps it; picked, there is a
copy that names its source and has the id as ``published-wap-id``, but none of our marks. Our own copy of the id
(``WAP_ID_KEPT``) also finds what was never staged: if somebody took ``write.wap.enabled`` away, Iceberg appends at
once, and writes no ``wap.id``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

WAP_ID_KEPT: Final = "autoloader.wap-id"
"""Our own copy of the wap id, in the summary of each snapshot that we write."""
BURN: Final = "autoloader.burn"
"""Marks a staged snapshot as a burn."""
SOURCE: Final = "source-snapshot-id"
WAP_IDS: Final = ("published-wap-id", "wap.id", WAP_ID_KEPT)
"""Where a snapshot's wap id stands; what comes first counts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A snapshot; ``marks`` are what of its summary is asked for."""

    id: int
    parent_id: int | None
    marks: Mapping[str, str]

    @property
    def wap_id(self) -> str | None:
        return next((self.marks[name] for name in WAP_IDS if name in self.marks), None)


class SnapshotLog:
    """All snapshots that a table still has, and which of them is the ``current`` one (None: there is none)."""

    def __init__(self, entries: Iterable[Entry], current: int | None) -> None:
        self._by_id = {entry.id: entry for entry in entries}
        self.current = current
        self._ancestors = frozenset(self._back_from(current))

    @property
    def is_torn(self) -> bool:
        """Whether the current snapshot is not among the others: they were read before it was there. It cannot have
        expired."""
        return self.current is not None and self.current not in self._by_id

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._by_id.values())

    def is_ancestor(self, entry: Entry) -> bool:
        """Whether its rows are in the table, unless they were replaced."""
        return entry.id in self._ancestors

    def published(self, wap_id: str) -> Entry | None:
        """What entered the ancestry under this id."""
        named = (entry for entry in self if wap_id in (entry.marks.get(name) for name in WAP_IDS))
        return next(filter(self.is_ancestor, named), None)

    def source_of(self, entry: Entry) -> Entry | None:
        """What it was picked from; None: it was not picked, or that has expired."""
        told = entry.marks.get(SOURCE)
        return None if told is None else self._by_id.get(int(told))

    def said(self, entry: Entry, mark: str) -> str | None:
        """What it says, or its source, which has our marks."""
        source = self.source_of(entry)
        found = entry.marks.get(mark)
        return source.marks.get(mark) if found is None and source else found

    def is_burn(self, entry: Entry) -> bool:
        """A picked snapshot does not carry our mark; its source does, until snapshot expiry takes that away. What is
        left then of a burn is that it added nothing. An empty batch looks the same: its files are loaded again, as no
        rows."""
        if self.said(entry, BURN) == "true":
            return True
        has_expired = SOURCE in entry.marks and self.source_of(entry) is None
        return has_expired and int(entry.marks.get("added-records", 0)) == 0

    def _back_from(self, at: int | None) -> Iterator[int]:
        while at is not None and (entry := self._by_id.get(at)) is not None:
            yield at
            at = entry.parent_id
