"""Whether a batch is in a table is told by its ancestry alone, whichever way it was published."""

from collections.abc import Mapping

import pytest

from services.executor.domain.snapshot_log import BURN, Entry, SnapshotLog

WAP = "al1:i:1:b"


def entry(number: int, parent: int | None, marks: Mapping[str, str] | None = None) -> Entry:
    return Entry(number, parent, marks or {})


@pytest.mark.parametrize("mark", ["wap.id", "published-wap-id", "autoloader.wap-id"])
def test_what_is_an_ancestor_is_published(mark: str) -> None:
    entries = [entry(1, None), entry(2, 1, {mark: WAP}), entry(3, 2)]
    assert entries[1] == SnapshotLog(entries, 3).published(WAP)
    assert SnapshotLog(entries, 1).published(WAP) is None
    assert SnapshotLog(entries, None).published(WAP) is None
    assert SnapshotLog(entries, 3).published("al1:i:1:c") is None


def test_a_picked_copy_is_published_and_its_source_is_not() -> None:
    source = entry(2, 1, {"wap.id": WAP, "autoloader.attempt": "a"})
    copy = entry(4, 3, {"published-wap-id": WAP, "source-snapshot-id": "2"})
    log = SnapshotLog([entry(1, None), source, entry(3, 1), copy], 4)
    assert copy == log.published(WAP)
    assert not log.is_ancestor(source)
    assert "a" == log.said(copy, "autoloader.attempt")


def test_the_ancestry_ends_where_snapshots_were_expired() -> None:
    log = SnapshotLog([entry(5, 4, {"wap.id": WAP})], 5)
    assert log.published(WAP) is not None


def test_a_current_snapshot_that_is_not_among_them_came_after_they_were_read() -> None:
    entries = [entry(1, None), entry(2, 1, {"wap.id": WAP})]
    assert SnapshotLog(entries, 3).is_torn
    assert not SnapshotLog(entries, 2).is_torn
    assert not SnapshotLog([], None).is_torn


def test_one_that_was_rolled_back_is_not_published() -> None:
    log = SnapshotLog([entry(1, None), entry(2, 1, {"wap.id": WAP}), entry(3, 1)], 3)
    assert log.published(WAP) is None


@pytest.mark.parametrize(
    ("marks", "source", "is_burn"),
    [
        ({BURN: "true"}, None, True),
        ({"source-snapshot-id": "2"}, {BURN: "true"}, True),
        ({"source-snapshot-id": "2", "added-records": "3"}, None, False),
        ({"source-snapshot-id": "2", "added-records": "0"}, None, True),
        ({"source-snapshot-id": "2"}, {}, False),
        ({}, None, False),
    ],
)
def test_a_burn_is_one_by_its_mark_or_by_having_added_nothing(
    marks: Mapping[str, str], source: Mapping[str, str] | None, is_burn: bool
) -> None:
    """The mark of one that was picked is its source's, which may have expired."""
    entries = [entry(3, 1, marks), *([] if source is None else [entry(2, 1, source)])]
    log = SnapshotLog(entries, 3)
    assert is_burn == log.is_burn(entries[0])
