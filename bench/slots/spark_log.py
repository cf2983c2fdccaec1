"""What Iceberg tells of commits that it repeats, in the log of the Spark server.

Nothing else says it: a commit that lost to another one is repeated inside Spark, up to four times, and the statement
succeeds. The log has one record for each repetition, with a trace that shows which statement it was.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

Statement = Literal["publish", "stage", "other"]

_REPEATED = "Tasks: Retrying task after failure"
_RECORD = re.compile(r"\d{4}-\d\d-\d\dT")
_FRAMES: dict[str, Statement] = {"CherrypickSnapshotProcedure": "publish", "SparkWrite": "stage"}


def repetitions(lines: Iterable[str], of: str) -> Counter[Statement]:
    """Repeated commits to tables whose names begin with ``of``, by statement."""
    found: Counter[Statement] = Counter()
    for record in _records(lines):
        if _REPEATED in record and of in record:
            found[_statement(record)] += 1
    return found


def _statement(record: str) -> Statement:
    return next((statement for frame, statement in _FRAMES.items() if frame in record), "other")


def _records(lines: Iterable[str]) -> Iterator[str]:
    """A record begins with its time; its trace follows in lines of its own."""
    record: list[str] = []
    for line in lines:
        if record and _RECORD.match(line):
            yield "".join(record)
            record = []
        record.append(line)
    yield "".join(record)


class SparkLog:
    """The log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from = path.stat().st_size

    def lines(self) -> Iterator[str]:
        with self._path.open(errors="replace") as log:
            log.seek(self._from)
            yield from log
