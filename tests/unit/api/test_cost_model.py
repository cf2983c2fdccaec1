"""What loading takes and costs: the formula, by hand and by its laws."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.costs.model import GETS_PER_FILE, PastRun, Prices, Speed, Work, batches_of, estimate, seconds_of

SPEED = Speed(cores=4, bytes_per_core_s=10e6, seconds_per_file=0.01, seconds_per_batch=1)
PRICES = Prices(core_hour_usd=0.09, list_1000_usd=5, get_1000_usd=0.4, gb_month_usd=0.02)
WORK = Work(keys_listed=2500, files=800, size_bytes=4_000_000_000, batches=3)
WORKS = st.builds(
    Work,
    keys_listed=st.integers(0, 10**7),
    files=st.integers(0, 10**6),
    size_bytes=st.integers(0, 10**14),
    batches=st.integers(0, 10**4),
)


def test_a_run_by_hand() -> None:
    """3 batches of a second, and 8 s of files and 400 s of bytes on four cores."""
    found = estimate(WORK, SPEED, PRICES)
    assert found.seconds == pytest.approx(3 + (8 + 400) / 4)
    assert found.compute_usd == pytest.approx(105 * 4 / 3600 * 0.09)
    assert (found.list_requests, found.get_requests) == (3, 800 * GETS_PER_FILE)
    assert found.requests_usd == pytest.approx(3 * 0.005 + 2400 * 0.0004)
    assert found.usd == pytest.approx(found.compute_usd + found.requests_usd)
    assert found.storage_usd_month == pytest.approx(0.08)
    assert found.based_on_runs == 0


def test_nothing_to_do_costs_a_listing() -> None:
    """And no time."""
    found = estimate(Work(0, 0, 0, 0), SPEED, PRICES)
    assert (found.seconds, found.list_requests, found.get_requests) == (0, 1, 0)
    assert found.usd == pytest.approx(0.005)


def test_the_past_corrects_the_seconds() -> None:
    """By the median, so that one odd run does not; runs of which the formula says nothing teach nothing."""
    alone = seconds_of(WORK, SPEED)
    past = [PastRun(WORK, alone * factor) for factor in (2, 2, 50)] + [PastRun(Work(5, 0, 0, 0), 3)]
    found = estimate(WORK, SPEED, PRICES, past)
    assert found.seconds == pytest.approx(2 * alone)
    assert found.based_on_runs == 3


@given(WORKS)
def test_an_ingestion_that_runs_as_before_takes_as_long_as_before(work: Work) -> None:
    """Whatever the formula thinks."""
    if seconds_of(work, SPEED) > 0:
        assert estimate(work, SPEED, PRICES, [PastRun(work, 42)]).seconds == pytest.approx(42)


@given(WORKS, st.integers(1, 10**6))
def test_more_work_is_never_cheaper(work: Work, more: int) -> None:
    """Nor quicker."""
    bigger = replace(
        work, files=work.files + more, size_bytes=work.size_bytes + more, keys_listed=work.keys_listed + more
    )
    less, found = estimate(work, SPEED, PRICES), estimate(bigger, SPEED, PRICES)
    assert found.seconds >= less.seconds
    assert found.usd >= less.usd


@pytest.mark.parametrize(
    ("files", "size_bytes", "expected"),
    [(0, 0, 0), (1, 0, 1), (1, 1, 1), (100, 1, 1), (101, 1, 2), (1, 1000, 1), (2, 1001, 2), (250, 5000, 5)],
)
def test_files_and_bytes_bound_a_batch(files: int, size_bytes: int, expected: int) -> None:
    """A hundred files or a thousand bytes, whichever comes first."""
    assert expected == batches_of(files, size_bytes, 100, 1000)
