"""What becomes of a listed file, by what the ledger knows of its key."""

import pytest

from libs.common.ledger.model.files import KnownVersion, Reload
from libs.common.ledger.states import FileState
from libs.common.selection.names import unreadable
from libs.common.selection.select import Selection, Terms, select
from tests.unit.common.selection.listings import ANOTHER_RUN, EARLIER_RUN, THIS_RUN, known, listed

A = listed()
TAKEN = Selection(taken=(A,))
RESUMED = Selection(resumed=(A,))
SUPERSEDING = Selection(taken=(A,), superseded=(A.digest,))
SKIPPED = Selection(skipped=1)
NOTHING = Selection()
OTHER_VERSION_IN_WORK = Selection(skipped=1, passed_over=(A.digest,))


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        # never seen
        ([], TAKEN),
        # in work, loaded or set aside: this version or another, it is left alone
        ([known(FileState.BATCHED)], SKIPPED),
        ([known(FileState.COMMITTED)], SKIPPED),
        ([known(FileState.QUARANTINED)], SKIPPED),
        ([known(FileState.BASELINE)], SKIPPED),
        ([known(FileState.COMMITTED, "v0")], Selection(skipped=1, left=(A,))),  # see test_overwrites.py
        ([known(FileState.BATCHED, "v0")], OTHER_VERSION_IN_WORK),
        ([known(FileState.FAILED, "v1"), known(FileState.COMMITTED, "v0")], SKIPPED),
        # by an earlier attempt of this very run: not skipped, just further along
        ([known(FileState.BATCHED, run=THIS_RUN)], NOTHING),
        ([known(FileState.COMMITTED, run=THIS_RUN)], NOTHING),
        ([known(FileState.BATCHED, "v0", run=THIS_RUN)], Selection(passed_over=(A.digest,))),
        # seen, and in no batch
        ([known(FileState.DISCOVERED)], TAKEN),
        ([known(FileState.DISCOVERED, given_up=True)], TAKEN),
        ([known(FileState.DISCOVERED, run=THIS_RUN)], RESUMED),
        ([known(FileState.DISCOVERED, run=THIS_RUN, given_up=True)], TAKEN),
        # a run in the other lane is about to batch it
        ([known(FileState.DISCOVERED, run=ANOTHER_RUN, held=True)], SKIPPED),
        ([known(FileState.DISCOVERED, "v0", run=ANOTHER_RUN, held=True)], OTHER_VERSION_IN_WORK),
        # overwritten before anybody read it
        ([known(FileState.DISCOVERED, "v0")], SUPERSEDING),
        ([known(FileState.DISCOVERED, "v0", run=THIS_RUN)], SUPERSEDING),
        ([known(FileState.SUPERSEDED, "v1"), known(FileState.DISCOVERED, "v0")], SUPERSEDING),
        # it failed: this version never again by itself, a new one is a new chance
        ([known(FileState.FAILED)], SKIPPED),
        ([known(FileState.FAILED, run=THIS_RUN)], NOTHING),
        ([known(FileState.FAILED, "v0")], TAKEN),
        # it was gone, or overwritten, when it should have been read; now it is back
        ([known(FileState.MISSING)], TAKEN),
        ([known(FileState.MISSING, "v0")], TAKEN),
        ([known(FileState.SUPERSEDED)], TAKEN),
        ([known(FileState.SUPERSEDED, "v0"), known(FileState.FAILED, "v00")], TAKEN),
    ],
)
def test_the_ledger_decides_what_is_new(versions: list[KnownVersion], expected: Selection) -> None:
    """Never the time, never the order of a listing."""
    assert expected == select([A], {A.digest: versions}, THIS_RUN)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        # what that run could not load is read again, as it is now
        ([known(FileState.FAILED)], TAKEN),
        ([known(FileState.FAILED, "v0")], TAKEN),
        ([known(FileState.MISSING, "v0")], TAKEN),
        ([known(FileState.DISCOVERED, given_up=True)], TAKEN),
        ([known(FileState.DISCOVERED)], TAKEN),
        ([known(FileState.DISCOVERED, "v0")], SUPERSEDING),
        # and what an earlier attempt of the retry has taken already
        ([known(FileState.DISCOVERED, run=THIS_RUN)], RESUMED),
        ([known(FileState.FAILED, run=THIS_RUN)], NOTHING),
        # nothing else: neither what is new, nor what failed elsewhere, nor what is loaded or in work
        ([], NOTHING),
        ([known(FileState.FAILED, run=ANOTHER_RUN)], NOTHING),
        ([known(FileState.DISCOVERED, run=ANOTHER_RUN)], NOTHING),
        ([known(FileState.COMMITTED)], NOTHING),
        ([known(FileState.BATCHED)], NOTHING),
        ([known(FileState.FAILED, "v0"), known(FileState.COMMITTED, run=ANOTHER_RUN)], SKIPPED),
    ],
)
def test_a_retry_reads_what_failed_and_nothing_else(versions: list[KnownVersion], expected: Selection) -> None:
    """Of one run."""
    assert expected == select([A], {A.digest: versions}, THIS_RUN, Terms(retry_of=EARLIER_RUN))


RELOADED = Selection(reloaded=(A,))


@pytest.mark.parametrize(
    ("versions", "reload", "expected"),
    [
        # what is loaded takes its own place, in whatever version it is there now
        ([known(FileState.COMMITTED)], None, RELOADED),
        ([known(FileState.COMMITTED, "v0")], None, RELOADED),
        ([known(FileState.BASELINE)], None, RELOADED),
        ([known(FileState.FAILED), known(FileState.COMMITTED, "v0")], None, RELOADED),
        # once at a time, and once in a run
        ([known(FileState.COMMITTED)], Reload(ANOTHER_RUN, FileState.BATCHED), OTHER_VERSION_IN_WORK),
        ([known(FileState.COMMITTED)], Reload(THIS_RUN, FileState.BATCHED), NOTHING),
        ([known(FileState.COMMITTED, run=THIS_RUN)], Reload(THIS_RUN, FileState.COMMITTED), NOTHING),
        ([known(FileState.COMMITTED)], Reload(THIS_RUN, FileState.FAILED), NOTHING),
        # what is not loaded is loaded as by any run, also if it failed; but not twice in this one
        ([], None, TAKEN),
        ([known(FileState.FAILED)], None, TAKEN),
        ([known(FileState.FAILED, run=THIS_RUN)], None, NOTHING),
        ([known(FileState.MISSING)], None, TAKEN),
        ([known(FileState.BATCHED)], None, SKIPPED),
        ([known(FileState.DISCOVERED, held=True)], None, SKIPPED),
    ],
)
def test_a_reload_reads_again_what_is_loaded(
    versions: list[KnownVersion], reload: Reload | None, expected: Selection
) -> None:
    reloads = {A.digest: reload} if reload is not None else {}
    assert expected == select([A], {A.digest: versions}, THIS_RUN, Terms(again=True), reloads)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([known(FileState.FAILED)], TAKEN),
        ([known(FileState.FAILED, "v0")], TAKEN),
        ([known(FileState.MISSING)], TAKEN),
        ([known(FileState.FAILED, "v0"), known(FileState.DISCOVERED, run=THIS_RUN)], RESUMED),
        ([known(FileState.DISCOVERED, run=THIS_RUN)], RESUMED),
        ([known(FileState.FAILED, "v0"), known(FileState.COMMITTED)], NOTHING),
        ([known(FileState.FAILED, "v0"), known(FileState.DISCOVERED)], NOTHING),
        ([known(FileState.COMMITTED)], NOTHING),
        ([], NOTHING),
    ],
)
def test_a_reload_of_what_failed_reads_nothing_else(versions: list[KnownVersion], expected: Selection) -> None:
    assert expected == select([A], {A.digest: versions}, THIS_RUN, Terms(again=True, failed_only=True))


def test_a_key_that_a_page_names_twice_is_taken_once() -> None:
    """In its later version: some stores list while they change."""
    newer, other = listed(etag="v2"), listed("in/b.json")
    assert Selection(taken=(newer, other)) == select([A, other, newer], {}, THIS_RUN)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("in/_SUCCESS", "hidden"),
        ("in/.part-0", "hidden"),
        ("in/a.json._COPYING_", "still being copied"),
        ("in//a.json", "two slashes"),
        ("/in/a.json", "one at the start"),
        ("in/./a.json", "'.' or '..'"),
        ("in/../a.json", "'.' or '..'"),
        ("in/a\nb.json", "control character"),
        ("in/a\0b.json", "control character"),
        ("in/a/", "ends with a slash"),
    ],
)
def test_a_key_that_spark_would_misread_is_refused_aloud(key: str, why: str) -> None:
    """With the file, the reason and a remedy (F47)."""
    f = listed(key)
    reason = unreadable(key)
    assert reason is not None
    assert why in reason
    (refusal,) = select([f], {}, THIS_RUN).refused
    assert ("unreadable_key", f.uri) == (refusal.problem.error_type, refusal.problem.file)
    assert reason in refusal.problem.message
    assert refusal.problem.hint


@pytest.mark.parametrize(
    "key",
    ["a.json", "in/a b.json", "k=v/a.json", "in/a_b.json", "_folder/a.json", ".folder/a.json", "é/😀",
     "in/*?[]{}.json", "in/100%.json", "in/a\\b.json", "in/~.json"],
)  # fmt: skip
def test_other_keys_are_read_under_their_exact_names(key: str) -> None:
    """Odd is not unreadable."""
    assert unreadable(key) is None


def test_a_refused_key_is_not_told_again_by_the_next_run() -> None:
    """Its failure stands in the ledger."""
    odd = listed("in/_a")
    assert SKIPPED == select([odd], {odd.digest: [known(FileState.FAILED, run=EARLIER_RUN)]}, THIS_RUN)


@pytest.mark.parametrize(
    ("key", "size_bytes", "expected"),
    [("in/folder/", 0, True), ("in/folder/", 1, False), ("in/empty.json", 0, False)],
)
def test_folder_markers_are_no_files(key: str, size_bytes: int, expected: bool) -> None:
    """Empty, and named like a folder. With bytes in it, it is a file with an odd name."""
    assert expected == listed(key, size_bytes=size_bytes).is_folder_marker
