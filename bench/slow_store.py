"""What several requests at once save in a listing, by how long the store takes for a page.

    python -m bench.slow_store [KEYS]

The store is a stub (``bench/stub_store.py``) that waits before each answer, as one does that is far away or large: a
thousand keys in each folder, all below one. Listed in stretches, as a scanner does; nothing is asked of a ledger.
Numbers of requests take turns.
"""

import asyncio
import statistics
import sys
import time

from rich.console import Console
from rich.table import Table

from bench.stub_store import PREFIX, bucket_of, stub_store
from libs.common.contracts.definition import Credentials
from libs.common.objects.s3 import S3Objects
from libs.common.objects.side_by_side import Pace

_WAITS_S = (0.0, 0.02, 0.1)
_AT_ONCE = (1, 2, 4, 8)
_ROUNDS = 3


async def _took(url: str, keys: int, at_once: int) -> float:
    """Seconds.

    Raises:
        SystemExit: it did not find each key once.
    """
    access = Credentials(aws_access_key_id="any", aws_secret_access_key="any", endpoint_url=url)  # noqa: S106
    objects = S3Objects(access, Pace(at_once))
    try:
        await objects.versions(bucket_of(1), [], None)  # opens the client
        began = time.perf_counter()
        stretches = [s async for some in objects.stretches(bucket_of(keys), [PREFIX], None) for s in some]
        took = time.perf_counter() - began
    finally:
        await objects.close()
    found = [f.key for s in stretches for f in s.read()]
    if len(found) != keys or len(set(found)) != keys:
        raise SystemExit(f"{len(set(found)):,} of {keys:,} keys were found, and {len(found):,} told")
    return took


def main() -> None:
    """Prints a table: seconds, medians, and how many times the page by page listing is."""
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    title = f"{keys:,} keys, listed by so many requests at once; medians of {_ROUNDS} rounds"
    table = Table("the store takes", *(f"{n}" for n in _AT_ONCE), title=title)
    for wait_s in _WAITS_S:
        took: dict[int, list[float]] = {n: [] for n in _AT_ONCE}
        with stub_store(wait_s) as url:
            for _ in range(_ROUNDS):
                for n in _AT_ONCE:
                    took[n].append(asyncio.run(_took(url, keys, n)))
        medians = {n: statistics.median(times) for n, times in took.items()}
        cells = (f"{s:.2f} s ({medians[1] / s:.1f} times as fast)" for s in medians.values())
        table.add_row(f"{wait_s * 1000:.0f} ms for a page", *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
