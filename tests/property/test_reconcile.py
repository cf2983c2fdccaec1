"""An audit finds what is wrong, and nothing else. A world that agrees is broken in one place at a time."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.definition import OverwritePolicy
from libs.common.contracts.reports import AuditReport
from libs.common.ledger.model.audits import BatchRow, VersionRow
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import BatchState, FileState
from services.executor.domain.evidence import EVERYTHING, written
from services.executor.domain.reconcile import Comparison, LedgerSide, settled
from services.executor.domain.story import Snapshot, tell

ME, OTHER = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
NOW = datetime(2025, 1, 7, tzinfo=UTC)


def file(number: int, etag: str = "e") -> FileVersion:
    return FileVersion("landing", f"data/{number}.json", etag, 10, NOW)


class World:
    """Batches of files, loaded one after the other; ``audit`` looks at what is left of them."""

    def __init__(self, sizes: list[int]) -> None:
        self.bucket: dict[str, FileVersion] = {}
        self.batches: dict[str, BatchRow] = {}
        self.files: dict[bytes, VersionRow] = {}
        self.snapshots: list[Snapshot] = []
        self.generation = 1
        self.known_bad: dict[str, int] = {}
        self.bad: dict[str, dict[str, int]] = {}
        for number, size in enumerate(sizes):
            self.load(f"b{number}", [file(100 * number + n) for n in range(size)])

    def load(self, name: str, files: list[FileVersion], *, ingestion: str = ME, generation: int = 1) -> None:
        """As the executor does."""
        for f in files:
            self.bucket[f.key] = f
            self.files[f.digest] = VersionRow(f.version_tag, FileState.COMMITTED, name)
        self.append(
            Snapshot(0, None, NOW, f"al1:{ingestion}:{generation}:{name}", False, len(files), 1, files=written(files))
        )
        rows = self.snapshots[-1].rows
        self.batches[name] = BatchRow(name, generation, BatchState.PUBLISHED, self.snapshots[-1].id, rows)

    def reload(self, name: str, new: FileVersion, *, rows: int = 1) -> None:
        """As the executor does: the rows of the key's loaded version, one, give way to those of this one."""
        old = self.bucket[new.key]
        self.bucket[new.key] = new
        self.files[new.digest] = VersionRow(new.version_tag, FileState.COMMITTED, name)
        self.append(
            Snapshot(
                0,
                None,
                NOW,
                f"al1:{ME}:1:{name}",
                False,
                rows,
                1,
                files=written([new]),
                replaced=written([old]),
                rows_removed=1,
            )
        )
        self.batches[name] = BatchRow(name, 1, BatchState.PUBLISHED, self.snapshots[-1].id, rows, 1)

    def swap(self) -> None:
        """All rows give way to those of the same files, under a batch of the next generation."""
        self.generation += 1
        name, rows = f"s{self.generation}", len(self.bucket)
        wap_id = f"al1:{ME}:{self.generation}:{name}"
        named = written(self.bucket.values())
        self.append(Snapshot(0, None, NOW, wap_id, False, rows, 1, files=named, replaced=EVERYTHING))
        self.files = {digest: VersionRow(v.version_tag, v.state, name) for digest, v in self.files.items()}
        self.batches[name] = BatchRow(name, self.generation, BatchState.PUBLISHED, self.snapshots[-1].id, rows)

    def append(self, snapshot: Snapshot) -> None:
        parent = self.snapshots[-1].id if self.snapshots else None
        self.snapshots.append(replace(snapshot, id=1000 + len(self.snapshots), parent_id=parent))

    def audit(self, pages_of: int = 3) -> AuditReport:
        current = self.snapshots[-1].id if self.snapshots else None
        committed = sum(v.state is FileState.COMMITTED for v in self.files.values())
        ledger = LedgerSide(tuple(self.batches.values()), committed, self.known_bad)
        story = tell(self.snapshots, current, quarantined=self.bad)
        comparison = Comparison(ME, self.generation, ledger, story)
        files = list(self.bucket.values())
        for start in range(0, len(files), pages_of):
            page = files[start : start + pages_of]
            comparison.page(page, {f.digest: [self.files[f.digest]] for f in page if f.digest in self.files})
        return comparison.report()


worlds = st.builds(World, st.lists(st.integers(0, 5), min_size=1, max_size=5))
full_worlds = st.builds(World, st.lists(st.integers(1, 5), min_size=2, max_size=5))


def found(report: AuditReport) -> tuple[int, int, int, int]:
    """Missing, duplicated, orphaned, miscounted."""
    return report.missing.count, report.duplicated.count, report.orphaned.count, report.miscounted.count


@given(full_worlds, st.integers(0, 3), st.integers(0, 3))
def test_bad_records_are_counted_on_both_sides(world: World, known: int, there: int) -> None:
    """A batch is miscounted if and only if ledger and quarantine differ."""
    batch = next(iter(world.batches))
    world.known_bad, world.bad = {batch: known}, {batch: {"s3://b/x": there}, "of another": {"s3://b/y": 7}}
    assert (0, 0, 0, int(known != there)) == found(world.audit())


@given(worlds, st.integers(1, 7))
def test_a_world_that_agrees_is_clean(world: World, pages_of: int) -> None:
    """However the listing is cut into pages; the three sides count alike."""
    report = world.audit(pages_of)
    assert report.clean
    assert (0, 0, 0, 0) == found(report)
    sides = report.sides
    assert len(world.bucket) == sides.bucket.files == sides.ledger.files == sides.table.files
    assert (sides.ledger.batches, sides.ledger.rows) == (sides.table.batches, sides.table.rows)


@given(full_worlds, st.integers(1, 3))
def test_a_world_whose_rows_were_swapped_is_clean(world: World, times: int) -> None:
    """What gave way is in no side's numbers, and its files are not there twice."""
    for _ in range(times):
        world.swap()
    report = world.audit()
    assert (True, (0, 0, 0, 0)) == (report.clean, found(report))
    assert 1 == report.sides.ledger.batches == report.sides.table.batches
    assert report.sides.ledger.rows == report.sides.table.rows
    world.snapshots.pop()
    assert 1 == world.audit().orphaned.count


@given(full_worlds, st.data())
def test_a_file_that_nobody_loaded_is_missing(world: World, data: st.DataObject) -> None:
    """Unknown to the ledger, or seen and still waiting."""
    f = file(999)
    world.bucket[f.key] = f
    if data.draw(st.booleans()):
        world.files[f.digest] = VersionRow(f.version_tag, FileState.DISCOVERED, None)
    report = world.audit()
    assert (1, 0, 0, 0) == found(report)
    assert f.uri == report.missing.examples[0].name
    assert not report.clean


@given(full_worlds)
def test_rows_that_left_the_table_are_missing_and_their_batch_an_orphan(world: World) -> None:
    """The table was rolled back; its snapshot is still there, out of sight."""
    lost = world.snapshots[-1]
    size = sum(v.batch_id == f"b{len(world.snapshots) - 1}" for v in world.files.values())
    world.snapshots = [replace(lost, id=1), *world.snapshots[:-1]]
    assert (size, 0, 1, 0) == found(world.audit())


@given(full_worlds, st.booleans())
def test_a_batch_that_the_ledger_lost_is_an_orphan(world: World, with_files: bool) -> None:
    """Its files are in the table, so they are not missing: the evidence says so."""
    name = next(iter(world.batches))
    del world.batches[name]
    if with_files:
        world.files = {d: v for d, v in world.files.items() if v.batch_id != name}
    missing, duplicated, orphaned, _ = found(world.audit())
    assert (0, 0, 1) == (missing, duplicated, orphaned)


@given(full_worlds)
def test_a_batch_that_is_in_the_table_twice_is_duplicated(world: World) -> None:
    """What a plain append does after a crash."""
    world.append(world.snapshots[0])
    assert 1 == world.audit().duplicated.count


@given(full_worlds)
def test_a_file_version_in_two_batches_is_duplicated_and_named(world: World) -> None:
    """A ledger that forgot, and loaded on."""
    f = file(0)
    world.load("again", [f])
    report = world.audit()
    assert 1 == report.duplicated.count
    assert f.uri == report.duplicated.examples[0].name


@given(full_worlds)
def test_a_version_in_two_batches_whose_key_is_gone_is_still_counted(world: World) -> None:
    """Nobody can name it any more."""
    f = file(0)
    world.load("again", [f])
    del world.bucket[f.key]
    assert 1 == world.audit().duplicated.count


@given(full_worlds, st.integers(1, 10))
def test_rows_that_differ_are_told(world: World, off: int) -> None:
    """I7: what the ledger recorded is what the snapshot added."""
    name, row = next(iter(world.batches.items()))
    world.batches[name] = replace(row, rows=row.rows + off)
    assert (0, 0, 0, 1) == found(world.audit())


@given(full_worlds)
def test_other_writers_are_none_of_our_business(world: World) -> None:
    """A foreign append, and another ingestion into the same table."""
    world.append(Snapshot(0, None, NOW, None, False, 7, 1))
    world.append(Snapshot(0, None, NOW, f"al1:{OTHER}:1:x", False, 7, 1, files=written([file(0)])))
    assert world.audit().clean


@given(full_worlds)
def test_what_was_expired_cannot_be_called_wrong(world: World) -> None:
    """The oldest snapshots are gone, and their batches are only noted."""
    del world.snapshots[0]
    report = world.audit()
    assert report.clean
    assert report.notes


@given(full_worlds)
def test_a_committed_file_that_left_the_bucket_is_only_noted(world: World) -> None:
    """Its rows are in the table; what becomes of the file is its owner's choice."""
    del world.bucket[next(iter(world.bucket))]
    report = world.audit()
    assert report.clean
    assert report.notes


@given(full_worlds)
def test_a_committed_file_that_its_snapshot_does_not_name_is_missing(world: World) -> None:
    """The ledger says more than the table."""
    f = file(999)
    world.bucket[f.key] = f
    world.files[f.digest] = VersionRow(f.version_tag, FileState.COMMITTED, "b0")
    assert (1, 0, 0, 0) == found(world.audit())


def test_what_is_published_while_one_looks_is_on_its_way() -> None:
    """The table was read between the two looks at the ledger; the story may lack the second batch."""
    one = BatchRow("one", 1, BatchState.PUBLISHED, 1, 1)
    two = BatchRow("two", 1, BatchState.PUBLISHED, 2, 1)
    before = [one, replace(two, state=BatchState.PUBLISHING)]
    assert (one, replace(two, state=BatchState.PUBLISHING)) == settled(before, [one, two])


def test_an_overwritten_file_of_the_baseline_is_no_news() -> None:
    """A new-only refresh remembers what was loaded; another version of it under the same key is skipped, by the scanner
    too."""
    world = World([2])
    old = file(7)
    world.files[old.digest] = VersionRow(old.version_tag, FileState.BASELINE, None)
    world.bucket[old.key] = file(7, etag="newer")
    report = world.audit()
    assert report.clean
    assert any("overwrites are skipped" in note for note in report.notes)


@pytest.mark.parametrize("state", [None, FileState.SKIPPED, FileState.SUPERSEDED, FileState.MISSING])
@pytest.mark.parametrize("loaded", [FileState.COMMITTED, FileState.BASELINE])
@pytest.mark.parametrize(
    ("policy", "missing", "note"),
    [
        ("skip", 0, "overwrites are skipped"),
        ("fail", 0, "each run names them"),
        ("append", 1, None),
        ("replace", 1, None),
    ],
)
def test_an_overwritten_file_is_missing_where_runs_load_such(
    policy: OverwritePolicy, missing: int, note: str | None, loaded: FileState, state: FileState | None
) -> None:
    """``state``: of the version that is there now, if a run has seen it."""
    world = World([2])
    old, new = file(0), file(0, etag="newer")
    versions = [VersionRow(old.version_tag, loaded, "b0")]
    versions += [VersionRow(new.version_tag, state, None)] if state is not None else []
    ledger = LedgerSide(tuple(world.batches.values()), 2)
    comparison = Comparison(ME, 1, ledger, tell(world.snapshots, world.snapshots[-1].id), overwrites=policy)
    comparison.page([new], {new.digest: versions})
    report = comparison.report()
    assert missing == report.missing.count
    assert note is None or any(note in told for told in report.notes)


@given(full_worlds, st.lists(st.tuples(st.integers(0, 99), st.sampled_from("eef")), max_size=6))
def test_rows_that_were_replaced_are_no_doubles(world: World, reloads: list[tuple[int, str]]) -> None:
    """Of the same version or of another one, once or several times: the three sides still count alike."""
    keys = sorted(world.bucket)
    for n, (which, etag) in enumerate(reloads):
        old = world.bucket[keys[which % len(keys)]]
        world.reload(f"r{n}", replace(old, etag=etag))
    report = world.audit()
    assert report.clean, report
    assert len(keys) == report.sides.table.files == report.sides.table.rows == report.sides.ledger.rows


@given(full_worlds)
def test_a_reload_that_the_ledger_missed_is_told(world: World) -> None:
    """It says how many rows went, and the table says otherwise."""
    world.reload("r", replace(next(iter(world.bucket.values())), etag="f"))
    world.batches["r"] = replace(world.batches["r"], rows_removed=0)
    assert (0, 0, 0, 1) == found(world.audit())
