"""The demo's words and tables. Values in, text out."""

import calendar
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from client.answers import Run
from client.demo.lake import MonthRows, Snapshot
from client.demo.settings import DemoSettings


def run_in_words(run: Run) -> list[str]:
    """What a run did, in one or two lines."""
    metrics = run.metrics
    if metrics.files_processed == 0:
        return [f"nothing new: 0 files loaded, {metrics.files_skipped} known from before (a file is loaded once)"]
    took_s = metrics.duration_seconds
    speed = f" in {took_s:.1f} s" if took_s else ""
    plural = "file" if metrics.files_processed == 1 else "files"
    loaded = f"{metrics.files_processed} {plural}, {metrics.records_ingested:,} rows{speed}"
    return [f"{loaded}; {metrics.files_skipped} known from before"]


def months_table(months: Mapping[int, MonthRows]) -> Table:
    table = Table(title="Flights by month", title_justify="left", show_footer=True)
    total = sum(month.rows for month in months.values())
    distinct = sum(month.distinct for month in months.values())
    table.add_column("Month", footer="2013")
    table.add_column("Rows", justify="right", footer=f"{total:,}")
    table.add_column("Distinct rows", justify="right", footer=f"{distinct:,}")
    for number, month in sorted(months.items()):
        table.add_row(calendar.month_name[number], f"{month.rows:,}", f"{month.distinct:,}")
    return table


def snapshots_table(snapshots: Sequence[Snapshot]) -> Table:
    table = Table(title="Snapshots, one per published batch", title_justify="left")
    table.add_column("Snapshot")
    table.add_column("Committed (UTC)")
    table.add_column("Operation")
    table.add_column("Added", justify="right")
    table.add_column("In all", justify="right")
    for snapshot in snapshots:
        table.add_row(
            str(snapshot.snapshot_id),
            f"{snapshot.committed_at:%Y-%m-%d %H:%M:%S}",
            snapshot.operation,
            f"{snapshot.added_rows:,}",
            f"{snapshot.rows_in_all:,}",
        )
    return table


def command() -> str:
    """``autoloader`` as this shell can call it: by its name, or by the path beside the Python that runs."""
    beside = Path(sys.executable).with_name("autoloader")
    return "autoloader" if shutil.which("autoloader") else os.path.relpath(beside)


def farewell(settings: DemoSettings, run_url: str) -> list[str]:
    """Where to go from here, as commands that work as they are printed."""
    autoloader = command()
    tries = (
        (f"{autoloader} demo", "again: every file is known, nothing is loaded twice"),
        (f"{autoloader} demo --fresh", "from an empty table; docs/howto/try-the-demo.md shows"),
        ("", "how to kill the executor in the middle of it"),
        (f"{autoloader} dev status", "what is running"),
        (f"{autoloader} dev logs executor", "what the executor did"),
        (f"{autoloader} dev down", "stop everything; the data stays for next time"),
    )
    width = max(len(line) for line, _ in tries) + 3
    return [
        "",
        f"API docs   {settings.api_url}/docs",
        f"Last run   curl -s {run_url}",
        "",
        "Try next",
        *(f"  {line:<{width}}{what}" for line, what in tries),
    ]


def remedy() -> list[str]:
    return ["", f"The table does not hold what landed. `{command()} demo --fresh` starts over from an empty table."]
