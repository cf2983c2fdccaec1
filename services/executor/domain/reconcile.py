"""Bucket, ledger and table held against each other. Pages of the bucket go by; the rest is one entry per batch.

comparison = Comparison(ingestion_id, generation, ledger, story)
comparison.page(files, known)      # for each page of the listing, with what the ledger has of its keys
comparison.report()
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from libs.common.contracts.definition import LOADS_OVERWRITES, OverwritePolicy
from libs.common.contracts.reports import EXAMPLES_MAX, AuditReport, Finding, Findings, Side, Sides
from libs.common.ledger.model.audits import BatchRow, VersionRow
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import LOADED_FILE_STATES, BatchState, FileState
from services.executor.domain.evidence import number_of, number_of_version
from services.executor.domain.story import TableBatch, TableStory

_NOT_LOADED_YET = frozenset({FileState.DISCOVERED, FileState.BATCHED})
_NOT_READ = frozenset({FileState.SKIPPED, FileState.SUPERSEDED, FileState.MISSING})


@dataclass(frozen=True, slots=True)
class LedgerSide:
    """The ledger's side: the batches of all generations; how many files are committed in this one, and how many records
    of theirs are in the quarantine, by batch."""

    batches: tuple[BatchRow, ...] = ()
    files_committed: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)


Known = Mapping[bytes, Sequence[VersionRow]]


class NamedFiles:
    """The file versions that batches of the table name: 8 bytes each."""

    def __init__(self, batches: Iterable[TableBatch]) -> None:
        self._batches = tuple(batches)
        named = sorted((n, at) for at, b in enumerate(self._batches) for n in b.files or ())
        self._numbers = array("Q", (n for n, _ in named))
        self._owners = array("L", (at for _, at in named))
        self.twice = {one for one, other in zip(self._numbers, self._numbers[1:], strict=False) if one == other}

    def __len__(self) -> int:
        return len(self._numbers)

    def batch_of(self, file: FileVersion) -> TableBatch | None:
        """The batch whose snapshot names this file version."""
        return self._with(number_of(file))

    def holds(self, key_of: FileVersion, version_tag: str) -> bool:
        """Whether a batch names this version of the file's key."""
        return self._with(number_of_version(key_of.bucket, key_of.key, version_tag)) is not None

    def _with(self, wanted: int) -> TableBatch | None:
        at = bisect_left(self._numbers, wanted)
        found = at < len(self._numbers) and self._numbers[at] == wanted
        return self._batches[self._owners[at]] if found else None


@dataclass(slots=True)
class _Kind:
    """Findings of one kind: all counted, the first ones kept."""

    count: int = 0
    examples: list[Finding] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(Finding(name=name, reason=reason))

    def frozen(self) -> Findings:
        return Findings(count=self.count, examples=tuple(self.examples))


class Comparison:
    """An audit under way. ``is_left`` says which files no run wants unless it is a backfill, ``overwrites`` what runs
    do with files that were overwritten."""

    def __init__(
        self,
        ingestion_id: str,
        generation: int,
        ledger: LedgerSide,
        story: TableStory,
        *,
        is_left: Callable[[FileVersion], bool] = lambda _: False,
        overwrites: OverwritePolicy = "skip",
    ) -> None:
        self._generation = generation
        self._overwrites = overwrites
        self._is_left = is_left
        self._ledger = ledger
        self._story = story
        self._in_ledger = {b.id: b for b in ledger.batches}
        ours = [b for b in story.batches if b.ingestion_id == ingestion_id or b.batch_id in self._in_ledger]
        self._data = {b.batch_id: b for b in ours if not b.is_burn}
        self._burns = {b.batch_id for b in ours if b.is_burn}
        self._named = NamedFiles(self._data.values())
        self._missing, self._duplicated, self._orphaned, self._miscounted = (_Kind() for _ in range(4))
        self._notes: Counter[str] = Counter()
        self._files = 0
        self._committed_seen = 0
        self._twice_named: set[int] = set()
        self._count_twice(ours)
        self._hold_table_against_ledger()
        self._hold_ledger_against_table()
        self._hold_ledger_against_quarantine()

    def page(self, files: Iterable[FileVersion], known: Known) -> None:
        """More of the bucket, with all that the ledger has of these keys."""
        for f in files:
            self._files += 1
            if (number := number_of(f)) in self._named.twice and number not in self._twice_named:
                self._twice_named.add(number)
                self._duplicated.add(f.uri, "two batches of the table name this version of it")
            self._look_at(f, known.get(f.digest, ()))

    def report(self) -> AuditReport:
        """What came of it, when every page went by."""
        for number in sorted(self._named.twice - self._twice_named):
            self._duplicated.add(f"file version {number:016x}", "two batches of the table name it")
        self._twice_named |= self._named.twice
        kinds = (self._missing, self._duplicated, self._orphaned, self._miscounted)
        return AuditReport(
            clean=not any(kind.count for kind in kinds),
            sides=self._sides(),
            missing=self._missing.frozen(),
            duplicated=self._duplicated.frozen(),
            orphaned=self._orphaned.frozen(),
            miscounted=self._miscounted.frozen(),
            notes=self._told_notes(),
        )

    def _count_twice(self, ours: Sequence[TableBatch]) -> None:
        for batch_id, times in Counter(b.batch_id for b in ours).items():
            if times > 1:
                self._duplicated.add(batch_id, f"this batch is in the table {times} times")
        for path in self._story.data_files_twice:
            self._duplicated.add(path, "the table lists this data file more than once")

    def _hold_table_against_ledger(self) -> None:
        for b in self._data.values():
            known = self._in_ledger.get(b.batch_id)
            if known is None and b.generation < self._generation:
                self._notes["batches of an older generation are in the table"] += 1
            elif known is None:
                self._orphaned.add(b.batch_id, f"in the table (snapshot {b.snapshot_id}), unknown to the ledger")
            elif known.state is BatchState.BURNED:
                self._orphaned.add(b.batch_id, f"in the table (snapshot {b.snapshot_id}), burned in the ledger")
            elif known.state is not BatchState.PUBLISHED:
                self._notes["batches are in the table and about to be recorded"] += 1
            elif known.rows_removed != b.rows_removed:
                words = f"replaced {known.rows_removed:,} rows in the ledger, {b.rows_removed:,} in the table"
                self._miscounted.add(b.batch_id, words)
            elif known.rows != b.rows:
                self._miscounted.add(b.batch_id, f"{known.rows:,} rows in the ledger, {b.rows:,} in the table")

    def _hold_ledger_against_table(self) -> None:
        for b in self._published():
            if b.id in self._data:
                continue
            if b.id in self._burns:
                self._orphaned.add(b.id, "published in the ledger, burned in the table")
            elif is_unproven(b, self._story):
                self._notes["published batches are older than the table's history: nothing can be said of them"] += 1
            else:
                self._orphaned.add(b.id, f"published in the ledger (snapshot {b.snapshot_id}), not in the table")

    def _hold_ledger_against_quarantine(self) -> None:
        for b in self._published():
            known, there = self._ledger.quarantined.get(b.id, 0), sum(self._story.quarantined.get(b.id, {}).values())
            if known != there:
                self._miscounted.add(b.id, f"{known:,} bad records in the ledger, {there:,} in the quarantine")

    def _look_at(self, f: FileVersion, versions: Sequence[VersionRow]) -> None:
        mine = next((v for v in versions if v.version_tag == f.version_tag), None)
        if mine is None or mine.state in _NOT_LOADED_YET:
            if self._named.batch_of(f) is not None:
                return  # its batch is told above, if the ledger lacks it
            if mine is not None:
                self._missing.add(f.uri, f"{mine.state} in the ledger: seen, and not loaded yet")
            elif any(v.state in LOADED_FILE_STATES for v in versions):
                self._look_at_overwritten(f)
            elif self._is_left(f):
                self._notes["files are left to backfills for their age"] += 1
            else:
                self._missing.add(f.uri, "unknown to the ledger: the next run loads it")
        elif mine.state is FileState.COMMITTED:
            self._committed_seen += 1
            self._look_for(f, mine.batch_id)
        elif mine.state in _NOT_READ and any(v.state in LOADED_FILE_STATES for v in versions):
            self._look_at_overwritten(f)
        else:
            self._notes[f"files are set aside as {mine.state}"] += 1

    def _look_at_overwritten(self, f: FileVersion) -> None:
        """Another version of it is loaded."""
        if self._overwrites in LOADS_OVERWRITES:
            self._missing.add(f.uri, "loaded in an earlier version, and overwritten: the next run loads it")
        else:
            words = {"skip": "overwrites are skipped", "fail": "each run names them"}[self._overwrites]
            self._notes[f"files were loaded in an earlier version; {words}"] += 1

    def _look_for(self, f: FileVersion, batch_id: str | None) -> None:
        """Is this committed file in the table?"""
        found = self._data.get(batch_id or "")
        in_ledger = self._in_ledger.get(batch_id or "")
        if found is None:
            if batch_id is not None and (in_ledger is None or in_ledger.state is not BatchState.PUBLISHED):
                self._notes["files were loaded while this audit looked at others"] += 1
            elif in_ledger is None or not is_unproven(in_ledger, self._story):
                self._missing.add(f.uri, "committed in the ledger, and its batch is not in the table")
        elif found.files is not None and self._named.batch_of(f) is None:
            self._missing.add(f.uri, f"committed in batch {batch_id}, whose snapshot does not name it")

    def _published(self) -> list[BatchRow]:
        return [b for b in self._ledger.batches if b.state is BatchState.PUBLISHED and b.generation == self._generation]

    def _sides(self) -> Sides:
        published = self._published()
        return Sides(
            bucket=Side(files=self._files),
            ledger=Side(batches=len(published), files=self._ledger.files_committed, rows=_rows_left(published)),
            table=Side(batches=len(self._data), files=len(self._named), rows=_rows_left(self._data.values())),
        )

    def _told_notes(self) -> tuple[str, ...]:
        notes = [f"{count:,} {words}" for words, count in self._notes.items()]
        if (gone := self._ledger.files_committed - self._committed_seen) > 0:
            notes.append(f"{gone:,} committed files are not in the bucket any more, or were overwritten since")
        if (mute := sum(b.files is None for b in self._data.values())) > 0:
            notes.append(f"{mute:,} batches of the table do not name their files")
        return tuple(notes)


def _rows_left(batches: Iterable[BatchRow | TableBatch]) -> int:
    """Their rows, without those that later ones of them replaced."""
    return sum(b.rows - b.rows_removed for b in batches)


def settled(before: Sequence[BatchRow], after: Sequence[BatchRow]) -> tuple[BatchRow, ...]:
    """The batches as of ``after``, when the table was read between the two: what was published meanwhile may not be in
    the story yet, and counts as on its way."""
    published = {b.id for b in before if b.state is BatchState.PUBLISHED}
    return tuple(
        replace(b, state=BatchState.PUBLISHING) if b.state is BatchState.PUBLISHED and b.id not in published else b
        for b in after
    )


def is_unproven(batch: BatchRow, story: TableStory) -> bool:
    """Whether a published batch may have been in the part of the history that was expired. A snapshot that the table
    still has and that is no ancestor was rolled back."""
    return story.is_cut and batch.snapshot_id not in story.snapshots
