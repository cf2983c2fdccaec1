"""A run whose table cannot stage says so."""

from datetime import UTC, datetime
from uuid import uuid4

from libs.common.contracts.events import FileBatchCommitted, Guarantee, Totals
from libs.common.lifecycle.run import EFFECTIVELY_ONCE, Run, advance


def committed(guarantee: Guarantee) -> FileBatchCommitted:
    return FileBatchCommitted(
        run_id=uuid4(),
        ingestion_id=uuid4(),
        generation=1,
        seq=2,
        occurred_at=datetime(2025, 1, 7, tzinfo=UTC),
        totals=Totals(),
        batch_id=uuid4(),
        snapshot_id=7,
        files=1,
        records=1,
        size_bytes=1,
        guarantee=guarantee,
    )


def test_a_batch_that_was_appended_warns() -> None:
    """The user learns that the promise is a smaller one, and what to do."""
    assert frozenset({EFFECTIVELY_ONCE}) == advance(Run(), committed("effectively_once")).warnings


def test_a_batch_that_was_published_warns_of_nothing() -> None:
    """Also when the event is an older one, without the word."""
    event = committed("exactly_once")
    old = FileBatchCommitted.model_validate(event.model_dump(exclude={"guarantee"}))
    assert frozenset() == advance(Run(), event).warnings == advance(Run(), old).warnings
