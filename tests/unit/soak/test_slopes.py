"""Which memory grows, and which only wanders."""

import pytest

from tests.soak.slopes import GROWS_ABOVE_MB_H, WARM_AFTER_S, WATCHED_FOR_S, Life, Sample, lines, slope_mb_h

EVERY_S = 10


def a_life(name: str, *, minutes: float, mb_per_hour: float, wanders_mb: float = 0.0, young_mb: float = 0.0) -> Life:
    """It holds 100 MB when it is warm, and ``young_mb`` less at its start."""
    samples = []
    for number in range(round(minutes * 60 / EVERY_S) + 1):
        age_s = number * EVERY_S
        warming = young_mb * max(0.0, 1 - age_s / WARM_AFTER_S)
        wander = wanders_mb if number % 2 else -wanders_mb
        samples.append(Sample(age_s, 100 + mb_per_hour * age_s / 3600 - warming + wander))
    return Life(name, name.partition("-")[0], samples)


@pytest.mark.parametrize("mb_per_hour", [-12.0, 0.0, 7.5, 300.0])
def test_the_slope_is_that_of_the_line(mb_per_hour: float) -> None:
    assert a_life("api-1", minutes=30, mb_per_hour=mb_per_hour).slope_mb_h == pytest.approx(mb_per_hour)


def test_what_wanders_up_and_down_is_flat() -> None:
    life = a_life("api-1", minutes=30, mb_per_hour=0, wanders_mb=8)
    assert not life.grows
    assert life.slope_mb_h == pytest.approx(0, abs=1)


def test_what_grows_while_it_wanders_is_found() -> None:
    assert a_life("api-1", minutes=30, mb_per_hour=GROWS_ABOVE_MB_H + 2, wanders_mb=8).grows


def test_the_first_minutes_do_not_count() -> None:
    """Every process grows then."""
    assert a_life("api-1", minutes=30, mb_per_hour=0, young_mb=60).slope_mb_h == pytest.approx(0)


def test_a_life_that_was_too_short_has_no_slope() -> None:
    least_s = WARM_AFTER_S + WATCHED_FOR_S
    assert a_life("api-1", minutes=(least_s - EVERY_S) / 60, mb_per_hour=900).slope_mb_h is None
    assert not a_life("api-1", minutes=(least_s - EVERY_S) / 60, mb_per_hour=900).grows
    assert a_life("api-1", minutes=least_s / 60, mb_per_hour=900).slope_mb_h == pytest.approx(900)


def test_nothing_seen_has_no_slope() -> None:
    assert slope_mb_h([]) is None


def test_each_long_life_has_a_line_and_a_kind_without_one_says_why() -> None:
    lives = [
        a_life("scanner-2", minutes=25, mb_per_hour=60),
        a_life("scanner-1", minutes=25, mb_per_hour=0),
        a_life("scanner-1", minutes=3, mb_per_hour=0),
        a_life("executor-1", minutes=4, mb_per_hour=60),
        a_life("executor-2", minutes=2, mb_per_hour=60),
    ]
    assert [
        "memory: executor: no slope: the oldest of 2 processes was seen for 4 min, and a slope takes 15 at least",
        "memory: scanner-1: 100 MB at first, 100 at most, 100 after 25 min, slope +0.0 MB/h: flat (bound 15)",
        "memory: scanner-2: 100 MB at first, 125 at most, 125 after 25 min, slope +60.0 MB/h: grows (bound 15)",
    ] == lines(lives)
