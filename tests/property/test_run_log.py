"""A run's numbers: they add up in any order, never fall, and say when the run is over."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.events import Totals
from libs.common.ledger.run_log import add, is_over
from libs.common.ledger.states import ScanState

COUNTERS = sorted(set(Totals.model_fields) - {"schema_version"})
CHANGES = st.builds(
    Totals,
    **{name: st.integers(0, 1000) for name in COUNTERS},
    schema_version=st.none() | st.integers(1, 9),
)


@given(st.lists(CHANGES), st.randoms(use_true_random=False))
def test_changes_add_up_in_any_order(changes: list[Totals], random: object) -> None:
    """Batches finish as they like."""
    shuffled = list(changes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert reduce(add, changes, Totals()) == reduce(add, shuffled, Totals())


@given(CHANGES)
def test_no_change_changes_nothing(totals: Totals) -> None:
    """The empty change."""
    assert totals == add(totals, Totals()) == add(Totals(), totals)


@given(st.lists(CHANGES, min_size=1))
def test_numbers_never_fall(changes: list[Totals]) -> None:
    """Readers keep the highest they saw (I8)."""
    totals = Totals()
    for change in changes:
        before, totals = totals, add(totals, change)
        assert all(getattr(before, name) <= getattr(totals, name) for name in COUNTERS)
        assert (before.schema_version or 0) <= (totals.schema_version or 0)


@given(st.lists(CHANGES, min_size=1))
def test_counters_are_sums_and_skips_are_the_highest_count(changes: list[Totals]) -> None:
    """A listing that is begun again counts what it skips from the start."""
    totals = reduce(add, changes, Totals())
    assert sum(c.files_done for c in changes) == totals.files_done
    assert sum(c.records_ingested for c in changes) == totals.records_ingested
    assert max(c.files_skipped for c in changes) == totals.files_skipped


@given(st.sampled_from(sorted(ScanState)), st.integers(0, 3), st.integers(0, 3))
def test_a_run_is_over_when_its_listing_and_all_its_batches_are(state: ScanState, planned: int, done: int) -> None:
    """And not a moment before; one that ended is not ended again."""
    expected = state in ("scanned", "broken") and planned == done
    assert expected == is_over(state, Totals(batches_planned=planned, batches_done=done))
