"""When schedules are due: on ordinary days, and on those on which clocks are changed."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from libs.common.contracts.schedule import Schedule
from libs.common.schedules.catch_up import CATCH_UP_MAX, COUNTED_MAX, Due, due
from libs.common.schedules.expression import expression_of
from libs.common.schedules.ticks import next_after, ticks_after


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def cron(expression: str, timezone: str = "UTC", **more: Any) -> Schedule:
    return Schedule(frequency="custom", cron_expression=expression, timezone=timezone, **more)


@pytest.mark.parametrize(
    ("said", "expression"),
    [
        ({}, None),
        ({"frequency": "hourly"}, "0 * * * *"),
        ({"frequency": "hourly", "time": "07:15"}, "15 * * * *"),
        ({"frequency": "daily"}, "0 0 * * *"),
        ({"frequency": "daily", "time": "02:30"}, "30 2 * * *"),
        ({"frequency": "weekly"}, "0 0 * * 1"),
        ({"frequency": "weekly", "weekday": "sunday", "time": "23:59"}, "59 23 * * 0"),
        ({"frequency": "custom", "cron_expression": "*/5 * * * *"}, "*/5 * * * *"),
    ],
)
def test_words_become_an_expression(said: dict[str, Any], expression: str | None) -> None:
    """Midnight, the full hour and Monday are what nobody has to say."""
    assert expression == expression_of(Schedule(**said))


@pytest.mark.parametrize(
    ("expression", "zone", "since", "expected"),
    [
        # Forward: 02:30 is not on the clock. The job runs when the clock goes on, at 03:00.
        ("30 2 * * *", "America/New_York", "2025-03-08T12:00", ["2025-03-09T07:00", "2025-03-10T06:30"]),
        ("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00", ["2025-03-30T01:00", "2025-03-31T00:30"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2025-10-04T12:00", ["2025-10-04T15:30", "2025-10-05T15:15"]),
        # Two times of the gap are one tick, and so is one that is due at its end anyway.
        ("0,30 2,3 * * *", "Europe/Berlin", "2025-03-29T12:00", ["2025-03-30T01:00", "2025-03-30T01:30"]),
        # Back: 01:30 or 02:30 is on the clock twice. The first counts.
        ("30 1 * * *", "America/New_York", "2025-11-01T12:00", ["2025-11-02T05:30", "2025-11-03T06:30"]),
        ("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00", ["2025-10-26T00:30", "2025-10-27T01:30"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2025-04-05T12:00", ["2025-04-05T14:45", "2025-04-06T15:15"]),
        # Asked in the hour that is shown for the second time.
        ("30 1 * * *", "America/New_York", "2025-11-02T06:10", ["2025-11-03T06:30"]),
        # Every hour means every hour, whatever the clock shows.
        ("0 * * * *", "America/New_York", "2025-03-09T05:30", ["2025-03-09T06:00", "2025-03-09T07:00"]),
        (
            "0 * * * *",
            "America/New_York",
            "2025-11-02T04:30",
            ["2025-11-02T05:00", "2025-11-02T06:00", "2025-11-02T07:00"],
        ),
        # But for half an hour's change: the clock's full hour moves.
        ("0 * * * *", "Australia/Lord_Howe", "2025-04-05T13:30", ["2025-04-05T14:00", "2025-04-05T15:30"]),
        ("*/15 2 * * *", "Australia/Lord_Howe", "2025-04-05T14:50", ["2025-04-05T15:30", "2025-04-05T15:45"]),
        # A quarter hour's offset.
        ("0 12 * * *", "Asia/Kathmandu", "2025-01-01T00:00", ["2025-01-01T06:15", "2025-01-02T06:15"]),
        ("0 0 29 2 *", "UTC", "2025-01-01T00:00", ["2028-02-29T00:00"]),
        # Later than the last second of the walk, not later than its minute.
        ("* * * * *", "UTC", "2025-01-01T00:00:59.9", ["2025-01-01T00:01", "2025-01-01T00:02"]),
    ],
)
def test_ticks_around_changes_of_the_clock(expression: str, zone: str, since: str, expected: list[str]) -> None:
    """In zones that are moved by an hour, by half an hour, and never."""
    found = islice(ticks_after(cron(expression, zone), at(since)), len(expected))
    assert [at(text) for text in expected] == list(found)


def test_without_a_frequency_there_is_no_tick() -> None:
    """Nor with events alone."""
    assert next_after(Schedule(trigger="event"), at("2025-01-01T00:00")) is None


NOON = at("2025-01-01T12:00")
HOURLY = cron("0 * * * *")


@pytest.mark.parametrize(
    ("catch_up", "late", "expected"),
    [
        # A moment ago: every policy runs it.
        ("none", timedelta(seconds=2), Due(NOON, 0, NOON + timedelta(hours=1))),
        ("once", timedelta(seconds=2), Due(NOON, 0, NOON + timedelta(hours=1))),
        ("all", timedelta(seconds=2), Due(NOON, 0, NOON + timedelta(hours=1))),
        # Ten minutes ago: only who catches up runs it.
        ("none", timedelta(minutes=10), Due(None, 1, NOON + timedelta(hours=1))),
        ("once", timedelta(minutes=10), Due(NOON, 0, NOON + timedelta(hours=1))),
        # Three ticks ago, and the last of them is of this moment.
        ("none", timedelta(hours=2), Due(NOON + timedelta(hours=2), 2, NOON + timedelta(hours=3))),
        ("none", timedelta(hours=2.5), Due(None, 3, NOON + timedelta(hours=3))),
        ("once", timedelta(hours=2.5), Due(NOON + timedelta(hours=2), 2, NOON + timedelta(hours=3))),
        ("all", timedelta(hours=2.5), Due(NOON, 0, NOON + timedelta(hours=1))),
        # A hundred ticks ago: the latest of them are kept, and one is begun with.
        (
            "all",
            timedelta(hours=99),
            Due(
                NOON + timedelta(hours=100 - CATCH_UP_MAX), 100 - CATCH_UP_MAX,
                NOON + timedelta(hours=101 - CATCH_UP_MAX),
            ),
        ),
    ],
)  # fmt: skip
def test_what_becomes_of_ticks_that_passed(catch_up: str, late: timedelta, expected: Due) -> None:
    """By policy, and by how late it is."""
    schedule = HOURLY.model_copy(update={"catch_up": catch_up})
    assert expected == due(schedule, NOON, NOON + late)


def test_a_year_of_minutes_is_caught_up_with_at_once() -> None:
    """Nobody walks through half a million ticks; they are counted up to a limit."""
    now = NOON + timedelta(days=365)
    assert Due(now, COUNTED_MAX - 1, now + timedelta(minutes=1)) == due(cron("* * * * *"), NOON, now)


def test_a_tick_that_the_schedule_does_not_know_is_looked_at() -> None:
    """Such as one from before the rules of its zone were changed."""
    late = NOON + timedelta(minutes=7)
    assert Due(late, 0, NOON + timedelta(hours=1)) == due(HOURLY, late, late + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(90, 90), ("90", 90), ("6 hours", 21600), ("1 day", 86400), ("1 Week", 604800), ("30  minutes", 1800)],
)
def test_an_interval_is_seconds_or_words(said: object, seconds: int) -> None:
    """As Auto Loader writes them."""
    assert seconds == Schedule.model_validate({"backfill_interval": said}).backfill_interval


@pytest.mark.parametrize("said", ["soon", "0 days", "1.5 hours", "1 month", "", -5, 0])
def test_what_is_no_interval_is_refused(said: object) -> None:
    """A month has no length."""
    with pytest.raises(ValueError, match="backfill_interval"):
        Schedule.model_validate({"backfill_interval": said})


def test_events_are_looked_after_every_day_unless_told_otherwise() -> None:
    """And without events nothing has to be."""
    assert Schedule(trigger="event").listed_every_s == 86_400
    assert Schedule(trigger="event", backfill_interval=60).listed_every_s == 60
    assert Schedule().listed_every_s is None
