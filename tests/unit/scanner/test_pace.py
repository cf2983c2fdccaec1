"""Batches are cut so that they take a while and not longer, by how long those before them took."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ledger.model.batches import PastBatch
from services.scanner.domain.pace import paced
from services.scanner.domain.planning import Limits

LIMITS = Limits(files_max=1000, bytes_max=1_000_000)
TARGET = timedelta(seconds=100)


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([], LIMITS),
        ([PastBatch(1000, 1000, 100)], LIMITS),
        ([PastBatch(1000, 1000, 200)], Limits(500, 1_000_000)),
        ([PastBatch(10, 1_000_000, 200)], Limits(1000, 500_000)),
        ([PastBatch(500, 1000, 200)], Limits(250, 1_000_000)),
        ([PastBatch(1000, 1000, 200), PastBatch(10, 1_000_000, 400)], Limits(500, 250_000)),
        ([PastBatch(1000, 1000, s) for s in (200, 9000, 125)], Limits(500, 1_000_000)),
        ([PastBatch(1000, 1000, 50)], LIMITS),
        ([PastBatch(3, 1000, 12), PastBatch(1, 50_000, 12)], LIMITS),
        ([PastBatch(1000, 1000, 9000)], Limits(100, 1_000_000)),
        ([PastBatch(10, 1_000_000, 9000)], Limits(1000, 100_000)),
    ],
    ids=[
        "nothing is known", "just so", "many files, too slow", "many bytes, too slow", "half full", "either",
        "the median", "faster than need be",
        "next to nothing", "very slow files", "very slow bytes",
    ],
)  # fmt: skip
def test_batches_shrink_with_what_made_them_slow(past: list[PastBatch], expected: Limits) -> None:
    """Neither beyond what the definition allows, nor to less than a tenth of it."""
    assert expected == paced(LIMITS, past, TARGET)


PAST = st.lists(st.builds(PastBatch, st.integers(1, 10**5), st.integers(0, 10**12), st.floats(10, 10**5)), max_size=10)


@given(limits=st.builds(Limits, st.integers(1, 10_000), st.integers(1, 10**12)), past=PAST)
def test_there_is_always_room_for_a_file(limits: Limits, past: list[PastBatch]) -> None:
    """Whatever was measured."""
    found = paced(limits, past, TARGET)
    assert limits.files_max // 10 <= found.files_max <= limits.files_max
    assert limits.bytes_max // 10 <= found.bytes_max <= limits.bytes_max
    assert found.files_max >= 1
    assert found.bytes_max >= 1
