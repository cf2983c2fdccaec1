"""A run that may take so many files, or so many bytes."""

from libs.common.contracts.scope import Scope
from libs.common.selection.caps import Cap, limited
from libs.common.selection.select import Selection
from tests.unit.common.selection.listings import listed

A, B, C = (listed(f"in/{name}.json", size_bytes=10) for name in "abc")


def test_a_cap_takes_the_first_files_and_says_that_there_are_more() -> None:
    cap = Cap.of(Scope(max_files=2))
    assert Selection(taken=(A, B)) == limited(Selection(taken=(A, B, C)), cap)
    assert cap.is_reached
    [told] = cap.warnings()
    assert "took 2 files of 20 bytes" in told


def test_a_cap_that_is_just_filled_left_nothing_out() -> None:
    cap = Cap.of(Scope(max_files=3, max_bytes=30))
    assert Selection(taken=(A, B, C)) == limited(Selection(taken=(A, B, C)), cap)
    assert not cap.is_reached
    assert () == cap.warnings()
    assert Selection() == limited(Selection(taken=(listed("in/d.json"),)), cap)
    assert cap.is_reached


def test_bytes_bound_as_files_do() -> None:
    assert (A, B) == limited(Selection(taken=(A, B, C)), Cap.of(Scope(max_bytes=29))).taken


def test_the_first_file_is_taken_however_large_it_is() -> None:
    """A run that took nothing could be asked for for ever."""
    cap = Cap.of(Scope(max_bytes=1))
    assert (A,) == limited(Selection(taken=(A, B)), cap).taken


def test_what_an_earlier_attempt_took_counts_and_stays_taken() -> None:
    cap = Cap.of(Scope(max_files=2))
    cap.count(1, 10)
    found = Selection(resumed=(A, B), taken=(C,))
    assert Selection(resumed=(A, B)) == limited(found, cap)


def test_a_version_that_is_not_taken_supersedes_nothing() -> None:
    found = Selection(taken=(A, B), superseded=(A.digest, B.digest))
    assert Selection(taken=(A,), superseded=(A.digest,)) == limited(found, Cap.of(Scope(max_files=1)))


def test_without_a_cap_nothing_is_held_back() -> None:
    found = Selection(taken=(A, B, C), superseded=(A.digest,))
    assert found == limited(found, Cap.of(Scope()))
