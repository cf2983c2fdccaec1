"""How the times of variants compare, and who takes which turn."""

import pytest

from bench.measures import Spread, Took, Variant, turns


def variant(seconds: dict[int, float], *, files: int = 10, files_of: int | None = None) -> Variant:
    rounds = {number: Took(seconds=each, rows=1) for number, each in seconds.items()}
    return Variant(title="a variant", rounds=rounds, files=files, files_of=files_of)


def test_a_ratio_is_of_two_times_of_the_same_round() -> None:
    """A round in which the machine was slow for both says the same as one in which it was fast."""
    ours, floor = variant({1: 2.0, 2: 20.0, 3: 3.0}), variant({1: 1.0, 2: 10.0, 3: 1.0})

    assert Spread(min=2.0, median=2.0, max=3.0) == ours.times(floor)


def test_a_round_that_only_one_of_them_did_is_no_ratio() -> None:
    """Who was given up in the second round is compared by the first."""
    assert Spread(min=2.0, median=2.0, max=2.0) == variant({1: 2.0, 2: 9.0}).times(variant({1: 1.0}))


def test_who_never_came_to_an_end_has_no_time_and_no_ratio() -> None:
    never = variant({})

    assert never.spread is None
    assert never.times(variant({1: 1.0})) is None
    assert variant({1: 1.0}).times(never) is None


def test_a_part_of_the_files_is_scaled_up() -> None:
    """Ten files of a hundred in two seconds are twenty for all."""
    assert {1: 20.0} == variant({1: 2.0}, files=100, files_of=10).seconds


@pytest.mark.parametrize("number", range(6))
def test_everybody_has_one_turn_in_a_round(number: int) -> None:
    assert ["a", "b", "c", "d", "e"] == sorted(turns(["a", "b", "c", "d", "e"], number))


def test_nobody_always_runs_after_the_same_one() -> None:
    """What one leaves behind (a full cache, garbage to collect) must not always meet the same next one."""
    rounds = [turns(["a", "b", "c", "d", "e"], number) for number in range(4)]
    before = {each: {order[order.index(each) - 1] for order in rounds if order[0] != each} for each in "abcde"}

    assert all(len(others) > 1 for others in before.values()), before


def test_a_round_of_nobody_is_empty() -> None:
    assert turns([], 3) == []
