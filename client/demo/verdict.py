"""Does the table hold exactly the flights of 2013? A pure comparison, and what to say when it does not."""

from collections.abc import Mapping

from client.demo.flights import FLIGHTS_IN_ALL
from client.demo.lake import MonthRows


def differences(landed: Mapping[int, int], found: Mapping[int, MonthRows]) -> list[str]:
    """One line per month that is not as it landed, and one for the total. Empty means that all is well."""
    lines = []
    for month in sorted(landed.keys() | found.keys()):
        want, have = landed.get(month, 0), found.get(month, MonthRows(0, 0))
        if have.rows != want:
            lines.append(f"month {month}: {want:,} rows landed, {have.rows:,} are in the table")
        if have.distinct != have.rows:
            lines.append(f"month {month}: {have.rows - have.distinct:,} rows are there more than once")
    total = sum(month.rows for month in found.values())
    if total != FLIGHTS_IN_ALL:
        lines.append(f"all months: {FLIGHTS_IN_ALL:,} rows expected, {total:,} found")
    return lines
