"""What a rebuild decides: what the table proves is committed, what it cannot have is new, and nothing is guessed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.definition import OverwritePolicy
from libs.common.errors import Permanent
from libs.common.ledger.model.audits import BatchRow, VersionRow
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import BatchState, FileState
from services.executor.domain.evidence import written
from services.executor.domain.rebuild import CLOCKS_DIFFER, Rebuilding, Verdict, check
from services.executor.domain.story import Snapshot, TableStory, tell

ME, OTHER = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
NOW = datetime(2025, 1, 7, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def file(number: int, at: datetime = NOW) -> FileVersion:
    return FileVersion("landing", f"data/{number}.json", "e", 10, at)


def snapshots(*batches: list[FileVersion], ingestion: str = ME) -> list[Snapshot]:
    """One after the other, as b0, b1, …"""
    return [
        Snapshot(
            1000 + n,
            999 + n if n else None,
            NOW,
            f"al1:{ingestion}:1:b{n}",
            False,
            len(files),
            1,
            files=written(files),
        )
        for n, files in enumerate(batches)
    ]


def replacing(found: list[Snapshot], old: FileVersion, new: FileVersion) -> Snapshot:
    """One more, as r: the rows of ``old`` gave way to those of ``new``."""
    last, wap_id = found[-1], f"al1:{ME}:1:r"
    evidence = {"files": written([new]), "replaced": written([old])}
    return Snapshot(last.id + 1, last.id, NOW, wap_id, False, 1, 1, rows_removed=1, **evidence)


def told(found: list[Snapshot]) -> TableStory:
    return tell(found, found[-1].id if found else None)


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(sizes, st.integers(1, 5))
def test_an_empty_ledger_gets_what_the_table_proves_and_no_more(loaded: list[int], more: int) -> None:
    """Every file that was loaded is proved by its own batch; every other one is new."""
    batches = [[file(100 * n + m) for m in range(size)] for n, size in enumerate(loaded)]
    plan = Rebuilding({ME}, [], told(snapshots(*batches)), 1)
    assert [f"b{n}" for n in range(len(loaded))] == [b.batch_id for b in plan.restored]
    for n, files in enumerate(batches):
        assert all(plan.look_at(f, ()) == (Verdict.PROVED, f"b{n}") for f in files)
    assert all(plan.look_at(file(9000 + n), ()) == (Verdict.NEW, None) for n in range(more))


@given(sizes)
def test_a_rebuild_after_a_rebuild_has_nothing_to_do(loaded: list[int]) -> None:
    batches = [[file(100 * n + m) for m in range(size)] for n, size in enumerate(loaded)]
    story = told(snapshots(*batches))
    rows = [BatchRow(b.batch_id, 1, BatchState.PUBLISHED, b.snapshot_id, b.rows) for b in story.batches]
    plan = Rebuilding({ME}, rows, story, 1)
    assert (0, 0) == (len(plan.restored), len(plan.withdrawn))
    for n, files in enumerate(batches):
        known = [VersionRow(f.version_tag, FileState.COMMITTED, f"b{n}") for f in files]
        assert all(plan.look_at(f, [v]) == (Verdict.KEPT, None) for f, v in zip(files, known, strict=True))


@pytest.mark.parametrize("state", [FileState.DISCOVERED, FileState.FAILED, FileState.SUPERSEDED, FileState.MISSING])
def test_the_table_has_the_last_word(state: FileState) -> None:
    """An older backup says that a file waits, or failed; a snapshot names it."""
    plan = Rebuilding({ME}, [], told(snapshots([file(1)])), 1)
    known = [VersionRow(file(1).version_tag, state, None)]
    assert (Verdict.PROVED, "b0") == plan.look_at(file(1), known)


def test_a_batch_that_was_rolled_back_is_withdrawn_and_its_files_are_new() -> None:
    """The ledger calls it published; the table still has its snapshot, out of sight."""
    [lost] = snapshots([file(1)])
    story = tell([lost], None)
    plan = Rebuilding({ME}, [BatchRow("b0", 1, BatchState.PUBLISHED, lost.id, 1)], story, 1)
    assert frozenset({"b0"}) == plan.withdrawn
    known = [VersionRow(file(1).version_tag, FileState.COMMITTED, "b0")]
    assert (Verdict.NEW, None) == plan.look_at(file(1), known)


def test_batches_of_a_table_that_a_refresh_set_aside_stay_published() -> None:
    """They are not in this table, and never were. One that was, and was rolled back, is withdrawn in any generation."""
    [lost] = snapshots([file(1)])
    rows = [
        BatchRow("elsewhere", 1, BatchState.PUBLISHED, lost.id + 1, 1),
        BatchRow("b0", 1, BatchState.PUBLISHED, lost.id, 1),
    ]
    assert frozenset({"b0"}) == Rebuilding({ME}, rows, tell([lost], None), 2).withdrawn


def test_what_may_have_been_expired_is_unproven_and_what_came_later_is_new() -> None:
    """The oldest snapshot had a parent. Nothing that landed after it can have been in there."""
    story = told(snapshots([file(1)], [file(2)])[1:])
    plan = Rebuilding({ME}, [], story, 1)
    assert (Verdict.PROVED, "b1") == plan.look_at(file(2), ())
    assert (Verdict.UNPROVEN, None) == plan.look_at(file(1), ())
    assert (Verdict.NEW, None) == plan.look_at(file(3, NOW + CLOCKS_DIFFER + timedelta(seconds=1)), ())


def test_a_published_batch_that_was_expired_stays_published() -> None:
    """Its rows are in the table; only its snapshot went."""
    story = told(snapshots([file(1)], [file(2)])[1:])
    plan = Rebuilding({ME}, [BatchRow("b0", 1, BatchState.PUBLISHED, 1000, 1)], story, 1)
    assert frozenset() == plan.withdrawn
    known = [VersionRow(file(1).version_tag, FileState.COMMITTED, "b0")]
    assert (Verdict.KEPT, None) == plan.look_at(file(1), known)


def test_a_batch_that_names_no_files_proves_none() -> None:
    """A picked snapshot whose source was expired: what landed before it is unproven."""
    [mute] = [replace(s, files=None) for s in snapshots([file(1)])]
    plan = Rebuilding({ME}, [], told([mute]), 1)
    assert (Verdict.UNPROVEN, None) == plan.look_at(file(1), ())
    assert (Verdict.NEW, None) == plan.look_at(file(2, LATER), ())


def test_a_table_that_others_loaded_is_not_taken_over_silently() -> None:
    """The ids that the table knows are in the message."""
    story = told(snapshots([file(1)], ingestion=OTHER))
    with pytest.raises(Permanent, match=OTHER) as refused:
        check("t", {ME}, Rebuilding({ME}, [], story, 1), story)
    assert "loaded_under_another_id" == refused.value.code
    check("t", {ME, OTHER}, Rebuilding({ME, OTHER}, [], story, 1), story)


def test_a_table_that_is_gone_proves_nothing() -> None:
    with pytest.raises(Permanent) as refused:
        check("t", {ME}, Rebuilding({ME}, [], TableStory(), 1), None)
    assert "table_missing" == refused.value.code


OLD, NEW = file(1), replace(file(1), etag="f")


@pytest.mark.parametrize("new", [OLD, NEW])
def test_of_rows_that_were_replaced_the_later_batch_is_the_proof(new: FileVersion) -> None:
    """Also of the same version; the others of the earlier batch are proved as before."""
    found = snapshots([OLD, file(2)])
    plan = Rebuilding({ME}, [], told([*found, replacing(found, OLD, new)]), 1)
    assert (Verdict.PROVED, "r") == plan.look_at(new, ())
    assert (Verdict.PROVED, "b0") == plan.look_at(file(2), ())
    assert [("b0", 0), ("r", 1)] == [(b.id, b.rows_removed) for b in map(plan.batch_of, plan.restored)]


@pytest.mark.parametrize("new", [OLD, NEW])
def test_a_backup_from_before_a_reload_is_corrected(new: FileVersion) -> None:
    """It calls the old version committed, whose rows are gone."""
    found = snapshots([OLD])
    rows = [BatchRow("b0", 1, BatchState.PUBLISHED, found[0].id, 1)]
    plan = Rebuilding({ME}, rows, told([*found, replacing(found, OLD, new)]), 1)
    known = [VersionRow(OLD.version_tag, FileState.COMMITTED, "b0")]
    assert (Verdict.PROVED, "r") == plan.look_at(new, known)


def test_a_reload_that_was_rolled_back_gives_the_old_version_its_proof_back() -> None:
    """Its rows are in the table again. Taking the file for new would load it beside them."""
    found = snapshots([OLD])
    reload = replacing(found, OLD, NEW)
    rows = [
        BatchRow("b0", 1, BatchState.PUBLISHED, found[0].id, 1),
        BatchRow("r", 1, BatchState.PUBLISHED, reload.id, 1, 1),
    ]
    plan = Rebuilding({ME}, rows, tell([*found, reload], found[0].id), 1)
    assert frozenset({"r"}) == plan.withdrawn
    withdrawn = [
        VersionRow(OLD.version_tag, FileState.SUPERSEDED, "b0"),
        VersionRow(NEW.version_tag, FileState.DISCOVERED, None),
    ]
    assert (Verdict.PROVED, "b0") == plan.look_at(OLD, withdrawn)
    restored = [VersionRow(OLD.version_tag, FileState.COMMITTED, "b0"), withdrawn[1]]
    assert (Verdict.KEPT, None) == plan.look_at(NEW, restored)


def swapped(found: list[Snapshot], files: list[FileVersion] | None, generation: int = 3) -> list[Snapshot]:
    """And one more, as s: all rows gave way to those of these files."""
    last, named = found[-1], None if files is None else written(files)
    return [
        *found,
        Snapshot(last.id + 1, last.id, NOW, f"al1:{ME}:{generation}:s", False, 9, 1, files=named, replaced="*"),
    ]


def test_a_swap_proves_its_files_and_takes_the_proof_from_all_before() -> None:
    """Also to a ledger that knows nothing of it; what came later is proved beside it."""
    found = swapped(snapshots([OLD, file(2)]), [NEW])
    later = Snapshot(5000, found[-1].id, NOW, f"al1:{ME}:3:b9", False, 1, 1, files=written([file(3)]))
    plan = Rebuilding({ME}, [], told([*found, later]), 3)
    assert (Verdict.PROVED, "s") == plan.look_at(NEW, ())
    assert (Verdict.PROVED, "b9") == plan.look_at(file(3), ())
    assert (Verdict.NEW, None) == plan.look_at(file(2), ())
    assert [("s", 9), ("b9", 1)] == [(b.id, b.rows) for b in map(plan.batch_of, plan.restored)]


def test_what_a_swap_replaced_stays_published_in_the_generation_that_an_undo_goes_back_to() -> None:
    """It is not in the table any more; withdrawn it would be loaded again after an undo."""
    found = swapped(snapshots([OLD]), [NEW])
    rows = [BatchRow("b0", 1, BatchState.PUBLISHED, found[0].id, 1), BatchRow("s", 3, BatchState.PUBLISHED, 1001, 9)]
    plan = Rebuilding({ME}, rows, told(found), 3)
    assert ((), frozenset()) == (plan.restored, plan.withdrawn)
    backup = Rebuilding({ME}, rows[:1], told(found), 1)
    assert (["s"], frozenset({"b0"})) == ([b.batch_id for b in backup.restored], backup.withdrawn)


def test_a_swap_of_too_many_files_proves_none_of_them() -> None:
    """They may be in it: somebody has to say so."""
    plan = Rebuilding({ME}, [], told(swapped(snapshots([OLD]), None)), 3)
    assert (Verdict.UNPROVEN, None) == plan.look_at(NEW, ())


def test_versions_that_were_added_to_each_other_are_proved_one_by_one() -> None:
    """A backup that knows the first one only: the second is in the table as well, and nothing gave way to it."""
    found = snapshots([OLD], [NEW])
    rows = [BatchRow("b0", 1, BatchState.PUBLISHED, found[0].id, 1)]
    plan = Rebuilding({ME}, rows, told(found), 1, "append")
    known = [VersionRow(OLD.version_tag, FileState.COMMITTED, "b0")]
    assert (Verdict.PROVED, "b1") == plan.look_at(NEW, known)
    assert frozenset() == plan.given_way(NEW, known, "b1")
    assert (Verdict.KEPT, None) == plan.look_at(OLD, known)
    both = [*known, VersionRow(NEW.version_tag, FileState.COMMITTED, "b1")]
    assert (Verdict.KEPT, None) == plan.look_at(NEW, both)


@pytest.mark.parametrize("loaded", [FileState.COMMITTED, FileState.BASELINE])
def test_a_version_whose_rows_were_replaced_gave_way(loaded: FileState) -> None:
    """Also to a version that was itself overwritten since, and is known to nobody any more."""
    found = snapshots([OLD])
    story = told([*found, replacing(found, OLD, NEW)])
    known = [VersionRow(OLD.version_tag, loaded, "b0" if loaded is FileState.COMMITTED else None)]
    plan = Rebuilding({ME}, [BatchRow("b0", 1, BatchState.PUBLISHED, found[0].id, 1)], story, 1, "replace")
    assert {OLD.version_tag} == plan.given_way(NEW, known, "r")


def test_a_version_that_gave_way_to_another_one_is_not_beside_a_third() -> None:
    """Replaced, then added to, and the backup knows neither."""
    found = snapshots([OLD])
    reload, third = replacing(found, OLD, NEW), replace(OLD, etag="g")
    last = Snapshot(reload.id + 1, reload.id, NOW, f"al1:{ME}:1:b9", False, 1, 1, files=written([third]))
    rows = [BatchRow("b0", 1, BatchState.PUBLISHED, found[0].id, 1)]
    plan = Rebuilding({ME}, rows, told([*found, reload, last]), 1, "append")
    known = [VersionRow(OLD.version_tag, FileState.COMMITTED, "b0")]
    assert (Verdict.PROVED, "b9") == plan.look_at(third, known)
    assert {OLD.version_tag} == plan.given_way(third, known, "b9")


@pytest.mark.parametrize(
    ("policy", "expected"), [("skip", Verdict.KEPT), ("replace", Verdict.KEPT), ("append", Verdict.UNPROVEN)]
)
@pytest.mark.parametrize("state", [None, FileState.SKIPPED])
def test_an_addition_may_have_been_in_the_history_that_is_gone(
    policy: OverwritePolicy, expected: Verdict, state: FileState | None
) -> None:
    """That another version is loaded says nothing of it; taking it for new could load it twice. Where it would replace
    that version, the table itself would refuse."""
    found = replace(snapshots([file(2)])[0], parent_id=999)
    rows = [BatchRow("lost", 1, BatchState.PUBLISHED, 998, 1)]
    plan = Rebuilding({ME}, rows, told([found]), 1, policy)
    known = [VersionRow(OLD.version_tag, FileState.COMMITTED, "lost")]
    known += [VersionRow(NEW.version_tag, state, None)] if state is not None else []
    assert expected is plan.look_at(NEW, known)[0]
