"""What it costs to find the ingestions that a notification concerns.

    python -m bench.matching [NOTIFICATIONS]

1,000 and 10,000 ingestions on one bucket, in three ways: each with a folder of its own; all on one folder, each with a
pattern of its own; all on one folder with one pattern. Each notification concerns one ingestion, in the last case all.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from uuid import UUID

from libs.common.contracts.definition import Source
from libs.common.ids import IngestionId
from services.scanner.domain.matching import Index
from services.scanner.domain.notices import parse

MS_MAX = 1
BUCKET = "landing"

CASES: dict[str, tuple[Callable[[int], Source], Callable[[int], str]]] = {
    "a folder each": (
        lambda n: Source(path=f"s3://{BUCKET}/tenants/t{n:05}/in/", file_pattern="*.json"),
        lambda n: f"tenants/t{n:05}/in/2025/01/07/part-{n}.json",
    ),
    "a pattern each": (
        lambda n: Source(path=f"s3://{BUCKET}/in/", file_pattern=f"orders-{n:05}-*.json"),
        lambda n: f"in/2025/01/07/orders-{n:05}-part.json",
    ),
    "all of them": (
        lambda _: Source(path=f"s3://{BUCKET}/in/", file_pattern="*.json"),
        lambda n: f"in/2025/01/07/part-{n}.json",
    ),
}


def main() -> int:
    """Prints one table. Exit code 1 if, with 1,000 ingestions, a notification took longer than was promised."""
    notifications = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{notifications:,} notifications, of which each is parsed and matched; milliseconds of each")
    slow = 0
    for ingestions in (1_000, 10_000):
        for name, (source, key) in CASES.items():
            began = time.perf_counter()
            index = Index()
            for n in range(ingestions):
                index.put(IngestionId(UUID(int=n)), source(n))
            built_s = time.perf_counter() - began
            times_ms = _times_ms(index, [_told(key(n * 7919 % ingestions)) for n in range(notifications)])
            median, p99 = statistics.median(times_ms), statistics.quantiles(times_ms, n=100)[98]
            slow += ingestions == 1_000 and median >= MS_MAX
            print(
                f"  {ingestions:>6,} ingestions, {name:<15} p50 {median:7.4f}  p99 {p99:7.4f}  built in {built_s:.2f} s"
            )
    return 1 if slow else 0


def _times_ms(index: Index, messages: list[bytes]) -> list[float]:
    gc.collect()
    times = []
    for message in messages:
        began = time.perf_counter()
        matched = [index.matches(notice.bucket, notice.key) for notice in parse(message)]
        times.append((time.perf_counter() - began) * 1000)
        assert all(matched)
    return times


def _told(key: str) -> bytes:
    about = {
        "bucket": {"name": BUCKET},
        "object": {"key": key, "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e"},
    }
    return json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "eventSource": "aws:s3", "s3": about}]}).encode()


if __name__ == "__main__":
    sys.exit(main())
