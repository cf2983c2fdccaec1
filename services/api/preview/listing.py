"""What a listing shows: which objects a run would load, which it would leave, and why. Pure.

Counts are exact for what was listed; of the files themselves an even spread is remembered, and no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from libs.common.contracts.definition import Source
from libs.common.ledger.model.files import FileVersion
from libs.common.selection.names import unreadable
from libs.common.selection.wanted import Wanted

EXAMPLES_MAX = 5


@dataclass(slots=True)
class Excluded:
    """Objects that are left out for one reason."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Spread:
    """At most ``size`` files, evenly from all that were added: whenever it is full, every other one goes, and from then
    on every other one is passed over."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._step = 1
        self._seen = 0
        self._kept: list[FileVersion] = []

    def add(self, file: FileVersion) -> None:
        if self._seen % self._step == 0:
            if len(self._kept) == 2 * self._size:
                self._kept = self._kept[::2]
                self._step *= 2
            if self._seen % self._step == 0:
                self._kept.append(file)
        self._seen += 1

    @property
    def files(self) -> list[FileVersion]:
        """The first is among them."""
        kept = len(self._kept)
        if kept <= self._size:
            return list(self._kept)
        return [self._kept[n * kept // self._size] for n in range(self._size)]


class Listed:
    """What the pages of a listing amount to, for a preview that reads at most ``files_max`` of the files; ``now`` is
    when an ingestion would be made."""

    def __init__(self, source: Source, now: datetime, files_max: int) -> None:
        self._pattern = source.file_pattern
        self._wanted = Wanted(source, now)
        self._spread = Spread(files_max)
        self.objects = 0
        self.files = 0
        self.empty = 0
        self.size_bytes = 0
        self.first_keys: list[str] = []
        self.excluded: dict[str, Excluded] = {}
        self.unreadable = 0
        self.is_complete = False

    def add(self, page: Sequence[FileVersion]) -> None:
        """Sorts a page."""
        self.objects += len(page)
        for f in page:
            reason = self._left_for(f)
            if reason is None:
                self.files += 1
                self.size_bytes += f.size_bytes
                if len(self.first_keys) < EXAMPLES_MAX:
                    self.first_keys.append(f.key)
                if f.size_bytes:
                    self._spread.add(f)
                else:
                    self.empty += 1
                continue
            excluded = self.excluded.setdefault(reason, Excluded())
            excluded.count += 1
            if len(excluded.examples) < EXAMPLES_MAX:
                excluded.examples.append(f.key)

    def to_read(self) -> list[FileVersion]:
        """The files that a preview looks into."""
        return self._spread.files

    def _left_for(self, f: FileVersion) -> str | None:
        if f.is_folder_marker:
            return "it is a folder's marker, and no file"
        if not self._wanted.is_named(f.key):
            return f"its name does not match source.file_pattern {self._pattern}"
        if self._wanted.too_old_or_new(f) is not None:
            return "it was written at a time that source.include_existing_files, modified_after or _before leave out"
        reason = unreadable(f.key)
        if reason is not None:
            self.unreadable += 1
        return reason
