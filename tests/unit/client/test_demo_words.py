"""What the demo says: the verdict on the table, and output that fits a log file as well as a terminal."""

import io

from rich.console import Console

from client.answers import Metrics, Run
from client.demo.flights import FLIGHTS_IN_ALL
from client.demo.lake import MonthRows
from client.demo.report import months_table, run_in_words
from client.demo.screen import Screen
from client.demo.verdict import differences

LANDED = {1: 300_000, 2: FLIGHTS_IN_ALL - 300_000}


def rows(**changes: MonthRows) -> dict[int, MonthRows]:
    found = {month: MonthRows(count, count) for month, count in LANDED.items()}
    return found | {int(month.removeprefix("m")): value for month, value in changes.items()}


def test_a_table_with_every_flight_once_is_right() -> None:
    assert differences(LANDED, rows()) == []


def test_a_month_that_was_loaded_twice_is_named() -> None:
    """Both signs of it: too many rows, and fewer distinct ones."""
    assert differences(LANDED, rows(m1=MonthRows(600_000, 300_000))) == [
        "month 1: 300,000 rows landed, 600,000 are in the table",
        "month 1: 300,000 rows are there more than once",
        "all months: 336,776 rows expected, 636,776 found",
    ]


def test_a_month_that_is_missing_or_too_many_is_named() -> None:
    found = {1: MonthRows(300_000, 300_000), 13: MonthRows(1, 1)}
    assert differences(LANDED, found) == [
        "month 2: 36,776 rows landed, 0 are in the table",
        "month 13: 0 rows landed, 1 are in the table",
        "all months: 336,776 rows expected, 300,001 found",
    ]


def test_a_pipe_gets_one_plain_line_per_change() -> None:
    """No escape codes, no carriage returns, and no line twice."""
    out = io.StringIO()
    screen = Screen(Console(file=out, highlight=False, width=120))
    screen.heading("1. Landing")
    with screen.bar("loading") as bar:
        bar.show(0, 0)
        bar.show(3, 11, "900 records")
        bar.show(3, 11, "900 records")
        bar.note("waiting for [something]")
    screen.show(months_table(rows()))

    text = out.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.splitlines()[:4] == [
        "",
        "1. Landing",
        "  loading: 3/11 files  900 records",
        "  waiting for [something]",
    ]
    assert f"{FLIGHTS_IN_ALL:,}" in text


def test_a_run_that_found_nothing_new_says_so() -> None:
    run = Run.model_validate({"id": "0" * 32, "ingestion_id": "1" * 32, "status": "success"})
    idle = run.model_copy(update={"metrics": Metrics(files_skipped=11)})
    busy = run.model_copy(
        update={"metrics": Metrics(files_processed=1, records_ingested=28_135, files_skipped=11, duration_seconds=2.04)}
    )
    assert run_in_words(idle) == ["nothing new: 0 files loaded, 11 known from before (a file is loaded once)"]
    assert run_in_words(busy) == ["1 file, 28,135 rows in 2.0 s; 11 known from before"]
