"""Which tables hold, together, every row once."""

import pytest

from tests.soak.lives import Life, Refreshed, lives

NOW = "c.d.t"


def aside(generation: int) -> str:
    return f"c.d.t__g{generation}_{generation:032x}"


def test_a_table_that_was_never_refreshed_has_one_life() -> None:
    assert (Life((NOW,), 0),) == lives(NOW, [], [])


def test_a_new_only_refresh_goes_on_with_a_life_in_another_table() -> None:
    assert (Life((aside(1), NOW), 0),) == lives(NOW, [aside(1)], [Refreshed(1, is_full=False, asked=5)])


def test_a_full_refresh_begins_a_life() -> None:
    assert (Life((aside(1),), 0), Life((NOW,), 5)) == lives(NOW, [aside(1)], [Refreshed(1, is_full=True, asked=5)])


def test_refreshes_of_both_kinds_in_any_order() -> None:
    refreshes = [Refreshed(3, False, 9), Refreshed(1, False, 5), Refreshed(2, True, 7)]
    expected = (Life((aside(1), aside(2)), 0), Life((aside(3), NOW), 7))
    assert expected == lives(NOW, [aside(3), aside(1), aside(2)], refreshes)


def test_a_generation_without_a_table_leaves_none() -> None:
    assert (Life((), 0), Life((NOW,), 5)) == lives(NOW, [], [Refreshed(1, is_full=True, asked=5)])


def test_a_table_that_no_known_refresh_set_aside_is_refused() -> None:
    with pytest.raises(AssertionError, match="set aside by no refresh"):
        lives(NOW, [aside(1)], [])
