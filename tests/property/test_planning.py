"""Batches are the files, cut: nothing lost, nothing twice, in order, within the limits, as full as can be."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from libs.common.ledger.model.files import FileVersion
from services.scanner.domain.planning import BatchPlanner, Limits

SIZES = st.lists(st.lists(st.integers(0, 40), max_size=15), max_size=5)
LIMITS = st.builds(Limits, st.integers(1, 6), st.integers(1, 60))


def pages(sizes: list[list[int]]) -> list[list[FileVersion]]:
    return [
        [FileVersion("b", f"{p}/{n}", "e", size, datetime(2025, 1, 7, tzinfo=UTC)) for n, size in enumerate(page)]
        for p, page in enumerate(sizes)
    ]


@given(SIZES, LIMITS)
def test_batches_are_the_files_cut(sizes: list[list[int]], limits: Limits) -> None:
    """However the listing is paged."""
    planner = BatchPlanner(limits)
    batches = [b for page in pages(sizes) for b in planner.add(page)] + [*planner.rest()]
    assert [f for page in pages(sizes) for f in page] == [f for b in batches for f in b.files]
    assert len(batches) == len({b.id for b in batches})
    for batch in batches:
        assert 1 <= len(batch.files) <= limits.files_max
        assert batch.size_bytes <= limits.bytes_max or len(batch.files) == 1
    for one, next_one in pairwise(batches):
        is_full = len(one.files) == limits.files_max or one.size_bytes >= limits.bytes_max
        assert is_full or one.size_bytes + next_one.files[0].size_bytes > limits.bytes_max


@given(SIZES, LIMITS)
def test_paging_makes_no_difference(sizes: list[list[int]], limits: Limits) -> None:
    """The same files in one page give the same batches."""
    paged, whole = BatchPlanner(limits), BatchPlanner(limits)
    batches = [b.files for page in pages(sizes) for b in paged.add(page)] + [b.files for b in paged.rest()]
    files = [f for page in pages(sizes) for f in page]
    assert [b.files for b in (*whole.add(files), *whole.rest())] == batches


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 40)), max_size=20), LIMITS)
def test_no_batch_has_a_key_twice(listing: list[tuple[str, int]], limits: Limits) -> None:
    """Even if the listing has; and its size is that of what it holds."""
    planner = BatchPlanner(limits)
    files = [
        FileVersion("b", key, str(n), size, datetime(2025, 1, 7, tzinfo=UTC)) for n, (key, size) in enumerate(listing)
    ]
    batches = [b for f in files for b in planner.add([f])] + [*planner.rest()]
    for batch in batches:
        assert len(batch.files) == len({f.key for f in batch.files})
        assert batch.size_bytes <= limits.bytes_max or len(batch.files) == 1
    assert {key for key, _ in listing} == {f.key for b in batches for f in b.files}
