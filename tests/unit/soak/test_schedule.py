"""The soak's schedule: a seed tells the same story again."""

from tests.soak.faults import FAULTS
from tests.soak.schedule import FIRST_AT_S, UNTIL_BEFORE_END_S, draw

WEIGHTS = {"often": 9, "seldom": 1, "never": 0}


def test_a_seed_draws_the_same_faults_again() -> None:
    assert draw(17, 1800, WEIGHTS) == draw(17, 1800, WEIGHTS)
    assert draw(17, 1800, WEIGHTS) != draw(18, 1800, WEIGHTS)


def test_a_longer_soak_begins_as_a_shorter_one() -> None:
    """So that a story may be cut short, or drawn out, when one looks for what it found."""
    short, long = draw(17, 300, WEIGHTS), draw(17, 1800, WEIGHTS)
    assert short == long[: len(short)]


def test_a_faults_own_choices_are_repeatable_and_differ() -> None:
    one, other, *_ = draw(17, 300, WEIGHTS)
    assert one.random().random() == one.random().random() != other.random().random()


def test_faults_come_in_time_and_leave_some_seconds_at_both_ends() -> None:
    at = [planned.at_s for planned in draw(17, 300, WEIGHTS)]
    assert sorted(at) == at
    assert FIRST_AT_S <= at[0]
    assert at[-1] < 300 - UNTIL_BEFORE_END_S


def test_weights_are_shares() -> None:
    names = [planned.name for planned in draw(17, 36_000, WEIGHTS)]
    assert "never" not in names
    assert 0.85 < names.count("often") / len(names) < 0.95


def test_a_soak_too_short_for_any_fault_has_none() -> None:
    assert () == draw(17, 5, WEIGHTS)


def test_each_fault_of_the_table_has_words_of_its_own() -> None:
    """They are its name in the schedule."""
    assert len(FAULTS) == len({fault.words for fault in FAULTS})


def test_some_fault_finds_a_plain_append() -> None:
    assert any(fault.negative for fault in FAULTS)
