"""What is made of a turn of executors, and what Spark's log tells of conflicts."""

import pytest
from rich.table import Table

from bench.measures import Spread
from bench.slots import report
from bench.slots.figures import Batch, Collisions, Setting, Slots, Turn, at_once_max, times_the_base
from bench.slots.spark_log import repetitions

CALM = Collisions(
    publishes=4, refused=0, repeated_publishes=0, repeated_stages=0, repeated_others=0, attempts_repeated=0
)
BUSY = Collisions(
    publishes=100, refused=1, repeated_publishes=4, repeated_stages=7, repeated_others=2, attempts_repeated=3
)


def batch(ingestion: int, begun_s: float, published_s: float, planned_s: float = 0.0) -> Batch:
    return Batch(ingestion=ingestion, planned_s=planned_s, begun_s=begun_s, published_s=published_s)


def turn(seconds: float, collisions: Collisions = CALM) -> Turn:
    """Two ingestions with two batches each; the first is done after half of the time."""
    halves = (0, seconds / 2)
    batches = [batch(n, n * halves[1], n * halves[1] + half) for n in (0, 1) for half in (seconds / 4, seconds / 2)]
    return Turn.of(batches, 8, collisions)


@pytest.mark.parametrize(
    ("text", "slots"), [("8", Slots(1, 8)), ("2x4", Slots(2, 4)), ("1x8", Slots(1, 8)), ("10x10", Slots(10, 10))]
)
def test_slots_are_said_as_executors_times_slots(text: str, slots: Slots) -> None:
    assert slots == Slots.parse(text)
    assert slots == Slots.parse(str(slots))


@pytest.mark.parametrize("text", ["", "0", "x4", "2x", "2x0", "-1", "8 "])
def test_anything_else_is_no_number_of_slots(text: str) -> None:
    with pytest.raises(ValueError, match="is no number of slots"):
        Slots.parse(text)


def test_throughput_counts_from_the_first_plan_to_the_last_publish() -> None:
    found = Turn.of([batch(0, 3, 4, planned_s=2), batch(1, 4, 7, planned_s=3)], 20, CALM)

    assert 5.0 == found.seconds
    assert 0.4 == found.batches_per_s
    assert 4.0 == found.files_per_s


def test_waiting_begins_with_the_plan_and_work_with_the_claim() -> None:
    found = Turn.of([batch(0, 3, 4, planned_s=2), batch(0, 4, 7, planned_s=3)], 2, CALM)

    assert Spread(min=2.0, median=3.0, max=4.0) == found.waited
    assert Spread(min=1.0, median=2.0, max=3.0) == found.worked


def test_an_ingestion_is_complete_with_its_last_batch() -> None:
    """From its own first plan: one that was planned later is not slower for that."""
    found = Turn.of(
        [batch(0, 0, 2), batch(0, 0, 4), batch(1, 10, 12, planned_s=10), batch(1, 10, 18, planned_s=10)], 4, CALM
    )

    assert [(2.0, 4.0), (2.0, 8.0)] == [(each.first_s, each.last_s) for each in found.ingestions]
    assert 2.0 == found.slowest_to_fastest


@pytest.mark.parametrize(
    ("spans", "most"),
    [([(0, 1), (1, 2)], 1), ([(0, 2), (1, 3)], 2), ([(0, 9), (1, 2), (3, 4)], 2), ([(0, 3), (1, 3), (2, 3)], 3)],
)
def test_batches_that_overlap_are_in_work_at_once(spans: list[tuple[float, float]], most: int) -> None:
    assert most == at_once_max(batch(0, begun_s, published_s) for begun_s, published_s in spans)


def test_conflicts_are_told_of_a_thousand_publishes() -> None:
    assert 50.0 == BUSY.of_publishes
    assert 70.0 == BUSY.of_stages
    assert 50.0 == Collisions.sum([BUSY, BUSY]).of_publishes


def test_slots_are_compared_with_the_base_of_the_same_round() -> None:
    """A slow minute of the machine is everybody's."""
    assert Spread(min=2.0, median=2.0, max=2.0) == times_the_base({1: turn(2), 2: turn(20)}, {1: turn(4), 2: turn(40)})


def test_the_tables_have_a_line_for_each_setting_and_ingestion() -> None:
    one, eight = Setting(1, Slots(1, 1)), Setting(1, Slots(2, 4))
    found = {one: {1: turn(8)}, eight: {1: turn(2, BUSY)}}

    assert ["1 table, 1", "1 table, 2x4"] == cells(report.throughput(found, {1: found[one]}), 0)
    assert ["1.00 (1.00 to 1.00)", "4.00 (4.00 to 4.00)"] == cells(report.throughput(found, {1: found[one]}), 3)
    assert ["0", "50"] == cells(report.conflicts(found), 2)
    assert ["1 table, 1: 1", "1 table, 1: 2", "1 table, 2x4: 1", "1 table, 2x4: 2"] == cells(report.waits(found), 0)


def cells(table: Table, column: int) -> list[str]:
    return [str(cell) for cell in table.columns[column].cells]


LOG = """\
2026-11-27T09:49:05,767 INFO  SessionHolder: Session with userId: accessed
2026-11-27T09:49:05,837 WARN  Tasks: Retrying task after failure: sleepTimeMs=108 Failed to update table db.mine_3
org.apache.iceberg.exceptions.CommitFailedException: Failed to update table db.mine_3
	at org.apache.iceberg.SnapshotProducer.commit(SnapshotProducer.java:498)
	at org.apache.iceberg.spark.source.SparkWrite.commitOperation(SparkWrite.java:269)
2026-11-27T09:49:06,837 WARN  Tasks: Retrying task after failure: sleepTimeMs=9 Cannot commit db.mine_0: it has changed
org.apache.iceberg.exceptions.CommitFailedException: Cannot commit db.mine_0: it has changed
	at org.apache.iceberg.spark.procedures.CherrypickSnapshotProcedure.call(CherrypickSnapshotProcedure.java:1)
2026-11-27T09:49:07,837 WARN  Tasks: Retrying task after failure: sleepTimeMs=9 Cannot commit db.yours_0: it has changed
	at org.apache.iceberg.spark.procedures.CherrypickSnapshotProcedure.call(CherrypickSnapshotProcedure.java:1)
2026-11-27T09:49:08,837 WARN  S3InputStream: Unclosed input stream created by:
	org.apache.iceberg.spark.source.SparkWrite
2026-11-27T09:49:09,837 WARN  Tasks: Retrying task after failure: sleepTimeMs=9 Cannot commit db.mine_0: it has changed
	at org.apache.iceberg.PropertiesUpdate.commit(PropertiesUpdate.java:1)
"""


def test_repeated_commits_are_told_apart_by_their_statement() -> None:
    """Those of other tables are not ours, and other records with the same words in them are no repetitions."""
    assert {"stage": 1, "publish": 1, "other": 1} == repetitions(LOG.splitlines(keepends=True), of="mine")


def test_an_empty_log_tells_of_nothing() -> None:
    assert {} == repetitions([], of="mine")
