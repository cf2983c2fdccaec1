"""Periods in which files should come: they follow each other without a gap, in every zone, and each is due once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.completeness.expected import Keys, due, first_judged_from, fixed_part, keys_of, problems_of
from libs.common.contracts.expected import ExpectedArrival

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]
RULES = st.builds(
    lambda every, zone, grace_s: ExpectedArrival(
        name="r", pattern="%Y-%m-%dT%H", every=every, timezone=zone, grace_s=grace_s
    ),
    st.sampled_from(["hour", "day"]),
    st.sampled_from(ZONES),
    st.integers(0, 90_000),
)
INSTANTS = st.datetimes(datetime(2015, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
PAUSES = st.lists(st.integers(1, 200_000), min_size=1, max_size=6)


@given(RULES, INSTANTS, PAUSES)
def test_each_period_is_due_once_and_none_is_left_out(
    rule: ExpectedArrival, start: datetime, pauses: list[int]
) -> None:
    """However often somebody looks. A period is judged after its grace time, and the first one is over already."""
    now, judged_until = start, first_judged_from(rule, start)
    seen = []
    for pause_s in pauses:
        for period in due(rule, judged_until, now):
            assert period.ends + timedelta(seconds=rule.grace_s) <= now
            seen.append(period)
            judged_until = period.ends
        now += timedelta(seconds=pause_s)
    assert seen
    for one, following in pairwise(seen):
        assert one.ends == following.begins
    for period in seen:
        assert timedelta() < period.ends - period.begins <= timedelta(hours=25 if rule.every == "day" else 2)
        local = period.begins.astimezone(ZoneInfo(rule.timezone))
        assert local.minute == 0 or rule.every == "day"
    assert rule.every == "hour" or len({keys_of(rule, p) for p in seen}) == len(seen)


def rule_of(pattern: str, every: Literal["hour", "day"] = "day", zone: str = "UTC") -> ExpectedArrival:
    return ExpectedArrival(name="r", pattern=pattern, every=every, timezone=zone)


def test_the_days_of_a_zone_are_its_own() -> None:
    """Of 25 hours where the clocks go back; the keys have the local date."""
    rule = rule_of("dt=%Y-%m-%d/_SUCCESS", zone="Europe/Berlin")
    [period] = due(rule, datetime(2025, 10, 25, 22, tzinfo=UTC), datetime(2025, 10, 27, 0, tzinfo=UTC))
    assert (datetime(2025, 10, 25, 22, tzinfo=UTC), timedelta(hours=25)) == (
        period.begins,
        period.ends - period.begins,
    )
    assert "dt=2025-10-26/_SUCCESS" == keys_of(rule, period)


@pytest.mark.parametrize(
    ("pattern", "key", "is_one_of_them"),
    [
        ("2025-01-07/*.json", "in/2025-01-07/a.json", True),
        ("2025-01-07/*.json", "in/2025-01-07/b/a.json", False),
        ("2025-01-07/**", "in/2025-01-07/b/a.json", True),
        ("2025-01-07*.json", "in/2025-01-07_a.json", True),
        ("2025-01-07*.json", "in/b/2025-01-07_a.json", False),
        ("2025-01-07*.json", "in/2025-01-07/a.json", False),
        ("2025-01-07/_SUCCESS", "in/2025-01-07/_SUCCESS", True),
    ],
)
def test_a_pattern_is_of_the_whole_key_below_the_path(pattern: str, key: str, *, is_one_of_them: bool) -> None:
    """Also one without a slash."""
    assert is_one_of_them == Keys(pattern, "in/").have(key)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (rule_of("*.json"), "needs %Y, %m, %d before its first wildcard"),
        (rule_of("*/%Y-%m-%d.json"), "needs %Y, %m, %d before its first wildcard"),
        (rule_of("%Y-%m-%d/*", "hour"), "needs %H"),
        (rule_of("%Y-%m-%d/%H/*"), "a day has many hours"),
        (rule_of("%Y-%m-%d/*", zone="Europe/Nowhere"), "is no time zone"),
        (rule_of("%Y-%m-%d/{a,b"), "%Y-%m-%d/{a,b"),
    ],
)
def test_what_cannot_be_meant_is_named(rule: ExpectedArrival, words: str) -> None:
    """With what to write instead."""
    assert any(words in problem for problem in problems_of(rule))


def test_a_rule_that_can_be_meant_has_no_problem() -> None:
    """And is listed where its keys are."""
    assert [] == list(problems_of(rule_of("dt=%Y-%m-%d/h=%H/*.json", "hour", "Europe/Berlin")))
    assert "dt=2025-01-07/" == fixed_part("dt=2025-01-07/*.json")
