"""What is loaded: how many files with how many records each, and what is in them. Nothing here does I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

COLUMNS = {
    "id": "BIGINT",
    "timestamp": "STRING",
    "user_id": "STRING",
    "event_type": "STRING",
    "value": "DOUBLE",
}
DDL = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
_EVENTS = ("login", "pageview", "click", "purchase")


@dataclass(frozen=True, slots=True)
class Workload:
    """``files`` objects of ``records`` lines of JSON each, below one prefix of a bucket."""

    key: str
    title: str
    files: int
    records: int
    bucket: str = ""
    folders: int = 0
    """Over so many folders they are spread; 0: all lie side by side."""

    @property
    def rows(self) -> int:
        return self.files * self.records

    @property
    def prefix(self) -> str:
        return f"{self.key}/"

    @property
    def source(self) -> str:
        """Without a scheme: ``bucket/prefix/``."""
        return f"{self.bucket}/{self.prefix}"

    def names(self) -> Iterator[str]:
        return (f"{self.prefix}{self._folder(number)}f{number:06}.json" for number in range(self.files))

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Key and body of each file, made as they are asked for."""
        for number, key in enumerate(self.names()):
            yield key, lines(number * self.records, self.records)

    def _folder(self, number: int) -> str:
        return f"d{number % self.folders:02}/" if self.folders else ""

    def inside(self, bucket: str) -> "Workload":
        return replace(self, bucket=bucket)

    def first(self, files: int) -> "Workload":
        """Only so many of the files, for those who load by name."""
        return replace(self, files=files)

    def scaled_down(self, times: int) -> "Workload":
        """Fewer files of the same size, for a quick look."""
        files = max(3, self.files // times)
        return replace(self, files=files, title=f"{self.title}, scaled down to {files} files")


def lines(first: int, count: int) -> bytes:
    """NDJSON of ``count`` events with the ids from ``first`` on, about 105 bytes each."""
    return b"\n".join(
        b'{"id":%d,"timestamp":"2026-01-01T00:00:%02dZ","user_id":"user-%d","event_type":"%s","value":%.2f}'
        % (i, i % 60, i % 100, _EVENTS[i % 4].encode(), i * 1.5)
        for i in range(first, first + count)
    )


WORKLOADS = (
    Workload("w1", "1,000 files of 1,000 records", 1_000, 1_000),
    Workload("w2", "20 files of 250,000 records", 20, 250_000),
    Workload("w3", "3 files of 1,000 records", 3, 1_000),
    Workload("tiny", "10,000 files of 10 records", 10_000, 10),
)
"""What is loaded as a whole, into a table that is new."""

KNOWN = Workload("w4", "100,000 files that are known", 100_000, 1, folders=50)
"""What is looked through for new files."""
