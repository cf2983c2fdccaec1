"""The report of the fault suite: what its last lines say, and when they must not be believed."""

import time

import pytest

from tests.faults.tally import Faults, Outcome, Promise, Struck, control_line, last_line, recovery_line
from tests.support.oracle import Verdict


def a_case(number: str = "F13", *, injected: int = 1, lost: int = 0, duplicated: int = 0, after: float = 5) -> Outcome:
    return Outcome(number, "words", not (lost or duplicated), 20, injected, lost, duplicated, (("kill -9", after),))


def test_the_last_line_adds_up() -> None:
    outcomes = [a_case(), a_case(injected=1000), a_case(lost=2, duplicated=3)]
    assert "faults: 3 cases, 1002 faults, lost 2, duplicated 3" == last_line(outcomes)


def test_a_verdict_is_kept_before_the_case_fails_of_it() -> None:
    """The sum must count what a failed case lost."""
    faults = Faults([("fault", ["F19", "a zombie wakes up"])])
    faults.inject()
    with pytest.raises(AssertionError):
        faults.judged(Verdict(lost=4, duplicated=7))
    found = Outcome.of(faults.properties, passed=False, seconds=1)
    assert ("F19", 1, 4, 7) == (found.number, found.injected, found.lost, found.duplicated)
    assert found.line().startswith("F19  FAIL a zombie wakes up: 1 injected, lost 4, duplicated 7")


def test_a_problem_alone_fails_a_case() -> None:
    with pytest.raises(AssertionError):
        Faults([]).judged(Verdict(problems=("I4: a file is committed, its batch is burned",)))


def test_a_recovery_that_took_too_long_is_said_aloud() -> None:
    promise = Promise("kill -9", "lease + sweep + 5 s", 9)
    assert recovery_line([a_case(after=4), a_case(after=6)], promise).endswith("= 9.0 s: kept")
    assert recovery_line([a_case(after=4), a_case(after=10)], promise).endswith("NOT KEPT")


def test_each_kind_of_blow_has_a_promise_of_its_own() -> None:
    """A frozen process keeps its locks for a while; that says nothing about killed ones."""
    faults = Faults([("fault", ["F19", "a zombie wakes up"])])
    faults.recovered(Struck("SIGSTOP", time.monotonic() - 20))
    frozen = Outcome.of(faults.properties, passed=True, seconds=30)
    killed = Promise("kill -9", "lease + sweep + 5 s", 9)
    assert "recovery from kill -9, 1 times: p50 4.0 s" in recovery_line([a_case(after=4), frozen], killed)
    assert "recovery from kill -9: not measured" == recovery_line([frozen], killed)
    assert "1 times: p50 20.0 s" in recovery_line([frozen], Promise("SIGSTOP", "36 s", 36))
    assert frozen.line().endswith("30.0 s, recovery 20.0 s")


@pytest.mark.parametrize(
    ("outcomes", "seen"),
    [
        ([], False),
        ([a_case("F19", duplicated=100), a_case("F20", duplicated=6)], True),
        ([a_case("F19", duplicated=100), a_case("F20")], False),
    ],
)
def test_the_control_is_content_only_if_every_case_shows_duplicates(outcomes: list[Outcome], seen: bool) -> None:
    line, found = control_line(outcomes)
    assert seen is found
    assert ("blind" in line) is not seen
