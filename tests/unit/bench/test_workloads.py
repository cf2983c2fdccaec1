"""What is put into the store for a workload."""

import json

import pytest

from bench.measures import Took
from bench.peers.peer import GivenUp, Loaded, Miscounted, measure
from bench.workloads import COLUMNS, WORKLOADS, Workload

WORK = Workload("w", "a few files", 4, 3, "bucket")


def test_every_record_has_an_id_of_its_own_and_all_columns() -> None:
    records = [json.loads(line) for _, body in WORK.objects() for line in body.splitlines()]

    assert list(range(WORK.rows)) == [record["id"] for record in records]
    assert all(record.keys() == COLUMNS.keys() for record in records)


def test_files_lie_below_the_prefix_that_folders_are_read_from() -> None:
    assert all(f"{WORK.bucket}/{key}".startswith(WORK.source) for key, _ in WORK.objects())


def test_a_quick_look_has_fewer_files_of_the_same_size_and_says_so() -> None:
    small = WORKLOADS[0].scaled_down(10)

    assert (100, 1_000) == (small.files, small.records)
    assert "100 files" in small.title


class Fake:
    """A peer that leaves ``rows`` in its table."""

    def __init__(self, rows: int, *, fails: bool = False) -> None:
        self.rows = rows
        self.fails = fails
        self.calls: list[str] = []

    def prepare(self, work: Workload) -> None:
        self.calls.append("prepare")

    def load(self, work: Workload) -> None:
        self.calls.append("load")
        if self.fails:
            raise GivenUp("not done")

    def loaded(self) -> Loaded:
        self.calls.append("loaded")
        return Loaded(self.rows, snapshots=1, data_files=2)

    def clean(self) -> None:
        self.calls.append("clean")


def test_a_load_is_measured_and_cleaned_up() -> None:
    peer = Fake(WORK.rows)

    took = measure(peer, WORK)

    assert ["prepare", "load", "loaded", "clean"] == peer.calls
    assert Took(seconds=took.seconds, rows=12, snapshots=1, data_files=2) == took


def test_a_time_counts_only_with_all_rows_in_the_table() -> None:
    """A peer that loads half of the files is quick."""
    with pytest.raises(Miscounted, match="11 rows were loaded, and 12 are in the files"):
        measure(Fake(11), WORK)


def test_a_peer_that_gives_up_is_cleaned_up_too() -> None:
    peer = Fake(0, fails=True)

    with pytest.raises(GivenUp):
        measure(peer, WORK)

    assert "clean" == peer.calls[-1]
