"""Ticks of any schedule, in zones that change their clocks in every way: they grow, none is skipped or doubled however
one walks, and each is one that the expression means."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import assume, example, given
from hypothesis import strategies as st

from libs.common.contracts.schedule import Schedule
from libs.common.schedules.catch_up import CATCH_UP_MAX, due
from libs.common.schedules.expression import problems_of
from libs.common.schedules.jitter import start_of
from libs.common.schedules.ticks import next_after, ticks_after

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]
CHANGES = [
    datetime(2025, 3, 9, 7, tzinfo=UTC),  # New York, forward
    datetime(2025, 11, 2, 6, tzinfo=UTC),  # and back
    datetime(2025, 3, 30, 1, tzinfo=UTC),  # Berlin
    datetime(2025, 10, 26, 1, tzinfo=UTC),
    datetime(2025, 4, 5, 15, tzinfo=UTC),  # Lord Howe, by half an hour
    datetime(2025, 10, 4, 15, 30, tzinfo=UTC),
]
LORD_HOWE = Schedule(frequency="custom", cron_expression="*/15 2 * * *", timezone="Australia/Lord_Howe")
MINUTE = timedelta(minutes=1)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Mostly around the hours in which clocks are changed."""
    minute = draw(st.sampled_from(["*", "*/15", "*/7", "0", "30", "0,30", "15-45/10", "59"]))
    hour = draw(st.sampled_from(["*", "*/2", "1", "2", "1,2", "2,3", "0-4", "23"]))
    day = draw(st.sampled_from(["*", "*", "*/2", "26", "L"]))
    weekday = draw(st.sampled_from(["*", "*", "SUN", "7", "1-5", "SUN#1"]))
    return f"{minute} {hour} {day} * {weekday}"


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    zone = draw(st.sampled_from(ZONES))
    return Schedule(frequency="custom", cron_expression=draw(expressions()), timezone=zone)


@st.composite
def instants(draw: st.DrawFn) -> datetime:
    """Near a change of some clock, or anywhere in the year."""
    near = timedelta(seconds=draw(st.integers(-4 * 3600, 4 * 3600)))
    far = timedelta(minutes=draw(st.integers(0, 365 * 24 * 60)))
    return draw(st.sampled_from([*(at + near for at in CHANGES), datetime(2025, 1, 1, tzinfo=UTC) + far]))


def between(schedule: Schedule, since: datetime, until: datetime) -> list[datetime]:
    """Ticks later than ``since`` and not later than ``until``."""
    return list(takewhile(lambda tick: tick <= until, ticks_after(schedule, since)))


@given(schedules(), instants(), st.lists(st.integers(1, 3 * 3600), max_size=12))
@example(LORD_HOWE, datetime(2025, 4, 5, 14, 58, tzinfo=UTC), [60, 1800])
def test_a_walk_in_any_steps_meets_the_same_ticks(schedule: Schedule, begin: datetime, steps_s: list[int]) -> None:
    """None is skipped and none comes twice, wherever the steps end."""
    end, walked = begin, []
    for step_s in steps_s:
        walked += between(schedule, end, end + timedelta(seconds=step_s))
        end += timedelta(seconds=step_s)
    assert between(schedule, begin, end) == walked
    assert sorted(set(walked)) == walked


@given(schedules(), instants())
@example(LORD_HOWE, datetime(2025, 4, 5, 13, tzinfo=UTC))
def test_every_minute_is_a_tick_if_the_expression_means_it(schedule: Schedule, begin: datetime) -> None:
    """Asked of each minute of half a day, by what the clock shows; only times of day are moved or left out, and only
    where the clock is changed."""
    zone, expression = ZoneInfo(schedule.timezone), schedule.cron_expression
    assert expression is not None
    begin = begin.replace(second=0)
    minutes = [begin + MINUTE * n for n in range(1, 12 * 60)]
    meant = {at for at in minutes if _means(expression, at.astimezone(zone).replace(tzinfo=None))}
    found = set(between(schedule, begin, minutes[-1]))
    if all(not part.startswith("*") for part in expression.split()[:2]):
        is_second = {at for at in minutes if at.astimezone(zone).fold}
        is_after_a_gap = {at for at in minutes if _shown(at, zone) - _shown(at - MINUTE, zone) > MINUTE}
        assert not found & is_second
        assert found - is_after_a_gap == meant - is_second - is_after_a_gap
    else:
        assert found == meant


def _shown(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _means(expression: str, shown: datetime) -> bool:
    return next(CronSim(expression, shown - timedelta(seconds=1))) == shown


@given(schedules(), instants(), st.integers(0, 3600), st.uuids())
def test_jitter_keeps_ticks_in_order(schedule: Schedule, begin: datetime, jitter_s: int, ingestion_id: UUID) -> None:
    """Each starts when it is due or later, by no more than the jitter, and before the next one is due; always the
    same."""
    schedule = schedule.model_copy(update={"jitter_s": jitter_s})
    tick = next_after(schedule, begin)
    assert tick is not None
    following = next_after(schedule, tick)
    start = start_of(schedule, ingestion_id, tick)
    assert following is not None
    assert tick <= start <= tick + timedelta(seconds=jitter_s)
    assert start < following
    assert start_of(schedule, ingestion_id, tick) == start


@given(schedules(), instants(), st.sampled_from(["none", "once", "all"]), st.integers(0, 3 * 86_400))
def test_each_tick_that_passed_gets_a_run_or_is_counted(
    schedule: Schedule, begin: datetime, catch_up: str, away_s: int
) -> None:
    """Worked off until nothing is due, as the ticker does it."""
    schedule = schedule.model_copy(update={"catch_up": catch_up})
    tick = next_after(schedule, begin)
    assert tick is not None
    now = tick + timedelta(seconds=away_s)
    passed = [tick, *between(schedule, tick, now)]
    assume(len(passed) <= 400)
    runs, missed = [], 0
    at: datetime | None = tick
    while at is not None and at <= now:
        decided = due(schedule, at, now)
        runs += [decided.run_for] if decided.run_for else []
        missed += decided.missed
        at = decided.following
    assert at == next_after(schedule, now)
    assert len(passed) == len(runs) + missed
    expected = {"none": passed[-1:] if now - passed[-1] <= timedelta(minutes=5) else [], "once": passed[-1:]}
    assert expected.get(catch_up, passed[-CATCH_UP_MAX:]) == runs


@given(st.text("0123456789*/-,#LW MONSUN", max_size=20))
@example("1#2/3 * * * *")
@example("* * * * 1#2/3")
@example("* * 31 2,4 *")
@example("* * */20 * 1L")
@example("5-1 * * * *")
def test_what_is_not_refused_can_be_walked(expression: str) -> None:
    """Whatever somebody writes: it is refused in words, or it has ticks."""
    schedule = Schedule(frequency="custom", cron_expression=expression)
    told = list(problems_of(schedule))
    assert all("schedule.cron_expression" in each for each in told)
    if not told:
        assert next_after(schedule, datetime(2025, 1, 1, tzinfo=UTC)) is not None
