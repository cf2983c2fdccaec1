"""Which partitions a full check finds settled, and when it is worth it to leave them out."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.settled import Tally
from services.scanner.domain.partitions import Partitions, Pruned, is_partition

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AFTER = timedelta(days=2)
LONG_AGO = NOW - timedelta(days=61)
EACH = 10
"""Files in a partition."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(
            (name, True)
            for name in ("year=2026", "dt=2026-11-28", "region=", "2026", "11", "1", "20261128", "2026-11-28")
        ),
        *((name, False) for name in ("", "=x", "data", "v1", "2026-11-28T00", "123", "_temporary", "2026_11")),
    ],
)
def test_partitions_are_named_as_hive_names_them_or_as_dates(name: str, expected: bool) -> None:
    """Other folders are never left out."""
    assert expected == is_partition(name)


def shown(*folders: str, at: datetime = LONG_AGO, into: Partitions | None = None) -> Partitions:
    """A listing that shows ten files in each folder. Two keys make a page, so that to leave out pays."""
    partitions = into or Partitions("in/", page_keys=2)
    for folder in folders:
        files = [FileVersion("b", f"in/{folder}{n}.json", "e", 1, at) for n in range(EACH)]
        partitions.add(files, lambda some: Tally(len(some), len(some), len(some)))
    return partitions


def of(folders: int) -> Tally:
    return Tally(*3 * (folders * EACH,))


def test_partitions_whose_inner_ones_are_all_settled_are_one() -> None:
    """A year is left out by one mark; the year that goes on, month by month, and the month that does, day by day."""
    old = [f"year=2025/month={m:02}/day={d:02}/" for m in (1, 2) for d in (1, 2)]
    partitions = shown(*old, "year=2026/month=01/day=01/", "year=2026/month=02/day=01/", "year=2026/month=02/day=02/")
    shown("year=2026/month=02/day=03/", at=NOW, into=partitions)
    assert Pruned(
        {
            "in/year=2025/": of(4),
            "in/year=2026/month=01/": of(1),
            "in/year=2026/month=02/day=01/": of(1),
            "in/year=2026/month=02/day=02/": of(1),
        },
        ("in/", "in/year=2026/", "in/year=2026/month=02/"),
    ) == partitions.pruned(NOW, AFTER)


def test_a_pause_does_not_settle_what_new_partitions_come_to() -> None:
    """Files come on weekdays: on Monday, the month is looked into, and Monday is found there."""
    friday = NOW - timedelta(days=3)
    found = shown("2026/10/30/", at=LONG_AGO, into=shown("2026/11/26/", "2026/11/27/", at=friday)).pruned(NOW, AFTER)
    assert found is not None
    assert {"in/2026/10/": of(1), "in/2026/11/26/": of(1), "in/2026/11/27/": of(1)} == found.settled
    assert ("in/", "in/2026/", "in/2026/11/") == found.places


@pytest.mark.parametrize("folder", ["", "dt=1/", "dt=1/sub/"])
def test_where_something_is_to_do_nothing_is_settled(folder: str) -> None:
    """Nor around it: neither in the partition, nor in what lies around it."""
    partitions = shown("dt=1/", "dt=1/sub/", "dt=1/dt=2/", "dt=3/", "dt=4/")
    partitions.open([f"in/{folder}3.json"])
    found = partitions.pruned(NOW, AFTER)
    assert found is not None
    rest = {"in/dt=1/": of(3)} if folder == "" else {"in/dt=1/dt=2/": of(1)}
    assert {**rest, "in/dt=3/": of(1), "in/dt=4/": of(1)} == found.settled


def test_folders_of_any_name_are_a_reason_to_wait_longer() -> None:
    """A new one may come after a pause, as a partition may."""
    friday = NOW - timedelta(days=3)
    found = shown("region=eu/export-7/", "dt=1/", at=friday, into=shown("region=us/export-1/")).pruned(NOW, AFTER)
    assert found is not None
    assert {"in/dt=1/", "in/region=us/"} == set(found.settled)


def test_a_partition_without_files_is_not_left_out() -> None:
    """Somebody made its folder beforehand, and the files are still to come. Nor does it keep the year open."""
    partitions = shown("dt=1/", "y=1/m=1/")
    marker = [FileVersion("b", f"in/{folder}", "e", 0, LONG_AGO) for folder in ("dt=2/", "y=1/m=2/")]
    partitions.add(marker, lambda some: Tally(0, 0, 0))
    found = partitions.pruned(NOW, AFTER)
    assert found is not None
    assert {"in/dt=1/": of(1), "in/y=1/": of(1)} == found.settled


def test_a_place_that_saves_nothing_is_listed_as_one() -> None:
    """However much others save: a day of ten files is five pages, and eight hours of today are eight requests."""
    hours = [f"dt=2/h={n}/" for n in range(1, 9)]
    found = shown(*hours, at=NOW, into=shown("dt=1/", "dt=2/h=0/", "dt=3/h=0/", "dt=3/h=1/")).pruned(NOW, AFTER)
    assert found is not None
    assert {"in/dt=1/", "in/dt=3/"} == set(found.settled)
    assert ("in/",) == found.places


def test_a_partition_that_was_written_to_lately_is_not_settled() -> None:
    """To the second."""
    partitions = shown("dt=1/", "dt=2/")
    shown("dt=1/", at=NOW - AFTER, into=partitions)
    shown("dt=2/", at=NOW - AFTER - timedelta(seconds=1), into=partitions)
    found = partitions.pruned(NOW, AFTER)
    assert found is not None
    assert {"in/dt=2/": of(2)} == found.settled


def test_nothing_is_left_out_where_that_takes_more_requests_than_to_list_all() -> None:
    """One for each page of a place, and one for each partition in it that is listed; against what is settled."""
    live = [f"dt={n}/" for n in range(3)]
    assert Pruned({}, ()) == shown(*live, at=NOW, into=shown("dt=9/")).pruned(NOW, AFTER)
    found = shown(*live[:2], at=NOW, into=shown("dt=9/")).pruned(NOW, AFTER)
    assert found is not None
    assert ["in/dt=9/"] == list(found.settled)


def test_what_is_open_everywhere_leaves_the_question_to_another_scan() -> None:
    """As after the first run of all: it has loaded everything, and the next one finds it settled."""
    partitions = shown("dt=1/", "dt=2/")
    partitions.open(["in/dt=1/0.json", "in/dt=2/0.json"])
    assert partitions.pruned(NOW, AFTER) is None
    assert Pruned({}, ()) == shown("dt=1/", "dt=2/", at=NOW).pruned(NOW, AFTER)


def test_a_source_of_too_many_partitions_is_listed_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded."""
    monkeypatch.setattr("services.scanner.domain.partitions.PARTITIONS_MAX", 2)
    partitions = shown("dt=1/", "dt=2/", "dt=3/")
    partitions.open(["in/dt=4/0.json", "in/dt=5/0.json"])
    assert Pruned({}, ()) == partitions.pruned(NOW, AFTER)
    assert {} == partitions._folders
