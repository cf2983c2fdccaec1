"""Which process is ours.

Written down at the start, and believed later only if the process with that number began at that time.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

START_TOLERANCE_S = 2.0
"""How far apart two readings of one process' start may be: the clock they are counted from is sometimes corrected."""


@dataclass(frozen=True, slots=True)
class Record:
    """One started process."""

    part: str
    pid: int
    started_at: float
    """Seconds since 1970, as the operating system tells it."""
    version: str

    def names(self, pid: int, started_at: float) -> bool:
        """Whether this is the process with that number and start. A number alone is used again by strangers."""
        return self.pid == pid and abs(self.started_at - started_at) <= START_TOLERANCE_S


class Records:
    """The records of one state folder, one small file for each part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, record: Record) -> None:
        """Remember a process; whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{record.part}.new"
        temporary.write_text(json.dumps(asdict(record)))
        temporary.replace(self._path(record.part))

    def read(self, part: str) -> Record | None:
        """What was remembered, whether or not it still runs; a file that cannot be read is as good as none."""
        try:
            return Record(**json.loads(self._path(part).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def forget(self, part: str) -> None:
        """The process is gone."""
        with suppress(FileNotFoundError):
            self._path(part).unlink()

    def running(self, part: str) -> psutil.Process | None:
        """The part's own process if it lives, else None."""
        record = self.read(part)
        return find(record) if record else None

    def pids(self) -> Iterator[int]:
        """The recorded numbers of all parts."""
        for path in self._folder.glob("*.json"):
            if record := self.read(path.stem):
                yield record.pid

    def _path(self, part: str) -> Path:
        return self._folder / f"{part}.json"


def find(record: Record) -> psutil.Process | None:
    """The recorded process if it lives. A dead one that its parent has not collected yet counts as gone."""
    try:
        process = psutil.Process(record.pid)
        if record.names(process.pid, process.create_time()) and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.Error:
        pass
    return None
