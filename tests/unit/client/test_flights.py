"""The demo's files: complete, alike from month to month, and the same bytes every time."""

import json
from collections import Counter
from functools import cache

import pytest

from client.demo.flights import FLIGHTS_IN_ALL, WHOLE_NUMBERS, WORDS, MonthFile, month_files


@cache
def year() -> list[MonthFile]:
    """Converted once for this module: it takes a second and 100 MB."""
    return list(month_files())


def test_twelve_months_hold_every_flight() -> None:
    """The counts that the demo promises are the counts of the files."""
    assert [file.name for file in year()] == [f"2013-{month:02}.json" for month in range(1, 13)]
    assert sum(file.rows for file in year()) == FLIGHTS_IN_ALL == 336_776
    assert year()[0].rows == 27_004
    assert year()[11].rows == 28_135


def test_each_line_is_one_flight_of_its_month() -> None:
    """NDJSON: as many lines as rows, the last one ended, each an object of the file's month."""
    for file in year():
        assert file.body.endswith(b"}\n")
        assert file.body.count(b"\n") == file.rows
        first = json.loads(file.body[: file.body.index(b"\n")])
        assert first["month"] == file.month
        assert set(first) == {*WHOLE_NUMBERS, *WORDS}


@pytest.mark.parametrize("month", [1, 6, 12])
def test_types_do_not_depend_on_the_month(month: int) -> None:
    """A column with gaps has whole numbers and nulls, never 517.0; words are text or null."""
    flights = [json.loads(line) for line in year()[month - 1].body.splitlines()]
    types = {column: Counter(type(flight[column]) for flight in flights) for column in flights[0]}
    for column in WHOLE_NUMBERS:
        assert types[column].keys() <= {int, type(None)}, f"{column}: {types[column]}"
    for column in WORDS:
        assert types[column].keys() <= {str, type(None)}, f"{column}: {types[column]}"
    assert types["dep_time"][type(None)] > 0, "Cancelled flights never left"
    assert flights[0]["time_hour"].startswith("2013-")


def test_the_same_bytes_every_time() -> None:
    """A file that lands twice must be the same version: its ETag is the digest of its bytes."""
    again = next(month_files())
    assert again.etag == year()[0].etag
    assert len(again.etag) == 32
