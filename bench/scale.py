"""What a run costs that finds nothing new among very many keys.

    make bench-scale          (ARGS="--rounds 5", ARGS="--keys 100000,1000000")

The listing is a stub's (``bench/stub_store.py``), a process of its own; API, scanner, Kafka and Postgres are real, and
the ledger knows every key. Told are: the stub's own ceiling and its bare listing by each client, runs from POST to
*success* at each number of keys, and the memory of the scanner meanwhile. The first run looks at every key; later ones
recognise what it found settled; with ``--prune``, they do not even list it.
"""

import argparse
import asyncio
import http.client
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import asyncpg  # type: ignore[import-untyped, unused-ignore]
import boto3
import psutil
from rich.console import Console
from rich.table import Table

from bench.peers.ours import run_to_success
from bench.stack import API_URL, definition, refuse_unless_up
from bench.stub_store import PREFIX, bucket_of, file_of, stub_store
from client.rest import AutoloaderClient
from libs.common.contracts.definition import Credentials
from libs.common.objects.s3 import S3Objects

_KEYS = (100_000, 300_000, 1_000_000)
_LIMIT_S = 300
_RSS_EVERY_S = 0.1
_MIB = 2**20
_COLUMNS = (
    "ingestion_id", "generation", "key_digest", "version_tag", "bucket", "key", "etag", "size_bytes", "last_modified",
    "state", "run_id", "row_count",
)  # fmt: skip


class Memory(threading.Thread):
    """Looks at a process's resident memory again and again."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(name="memory", daemon=True)
        self._process = process
        self.seen_bytes: list[int] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(_RSS_EVERY_S):
            self.seen_bytes.append(self._process.memory_info().rss)


def main() -> int:
    """Prints two tables. Exit code 1 if the scanner's memory went beyond what is promised."""
    asked = _arguments()
    refuse_unless_up()
    console = Console(width=130)
    with stub_store() as url:
        console.print(_bare(url, max(asked.keys), asked.rounds))
        table, peak_bytes = _runs(url, asked.keys, asked.rounds, is_pruned=asked.prune)
        console.print(table)
    console.print(f"the scanner's memory, at most: {peak_bytes / _MIB:.0f} MiB")
    return int(peak_bytes > 200 * 10**6)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a run costs that finds nothing new among very many keys.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prune", action="store_true", help="leave out partitions that are settled: all of them are")
    parser.add_argument("--keys", type=lambda text: tuple(int(each) for each in text.split(",")), default=_KEYS)
    return parser.parse_args()


def _bare(url: str, keys: int, rounds: int) -> Table:
    """Each client lists everything and keeps nothing, in turns."""
    clients: dict[str, Callable[[str, int], int]] = {
        "no client: read, not parsed": _read,
        "ours": _ours,
        "boto3": _boto3,
    }
    took: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, count in clients.items():
            some = keys if count is not _boto3 else keys // 10  # it would take minutes
            began = time.perf_counter()
            found = count(url, some)
            took[name].append(some / (time.perf_counter() - began))
            if found != some:
                raise SystemExit(f"{name} found {found:,} of {some:,} keys")
    table = Table("bare listing of the stub", "keys/s: min", "median", "max", title=f"{keys:,} keys, {rounds} rounds")
    for name, values in took.items():
        table.add_row(name, *(f"{value:,.0f}" for value in _spread(values)))
    return table


def _read(url: str, keys: int) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    for start in range(0, keys, 1000):
        connection.request("GET", f"/{bucket_of(keys)}?list-type=2&prefix={PREFIX}&continuation-token={start}")
        connection.getresponse().read()
    connection.close()
    return keys


def _ours(url: str, keys: int) -> int:
    async def listed() -> int:
        objects = S3Objects()
        try:
            return sum([len(page) async for page in objects.pages(bucket_of(keys), PREFIX, _access(url))])
        finally:
            await objects.close()

    return asyncio.run(listed())


def _boto3(url: str, keys: int) -> int:
    access = _access(url).model_dump(include={"aws_access_key_id", "aws_secret_access_key", "endpoint_url"})
    client = boto3.client("s3", region_name="us-east-1", **access)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket_of(keys), Prefix=PREFIX)
    return sum(len(page.get("Contents", ())) for page in pages)


def _access(url: str) -> Credentials:
    return Credentials(aws_access_key_id="x", aws_secret_access_key="x", endpoint_url=url)  # noqa: S106


def _runs(url: str, counts: Sequence[int], rounds: int, *, is_pruned: bool) -> tuple[Table, int]:
    """Runs of all sizes, in turns. Also how much memory the scanner had at most."""
    scanner = _scanner()
    seconds: dict[int, list[float]] = {keys: [] for keys in counts}
    memory: dict[int, list[int]] = {keys: [] for keys in counts}
    cpu_s: dict[int, list[float]] = {keys: [] for keys in counts}
    firsts: dict[int, float] = {}
    with AutoloaderClient(API_URL) as api:
        ingestions = {keys: _known(api, url, keys, is_pruned=is_pruned) for keys in counts}
        try:
            for number in range(rounds + 1):
                for keys, ingestion_id in ingestions.items():
                    watch = Memory(scanner)
                    watch.start()
                    began, cpu_began_s = time.perf_counter(), _cpu_s(scanner)
                    run = run_to_success(api, ingestion_id, limit_s=_LIMIT_S)
                    took = time.perf_counter() - began
                    watch.is_over.set()
                    watch.join()
                    if run.metrics.files_processed:
                        raise SystemExit(f"a run found {run.metrics.files_processed:,} new files, and there are none")
                    memory[keys] += watch.seen_bytes
                    if number:
                        seconds[keys].append(took)
                        cpu_s[keys].append(_cpu_s(scanner) - cpu_began_s)
                    else:  # looks at every key, and remembers what is settled
                        firsts[keys] = took
        finally:
            for ingestion_id in ingestions.values():
                asyncio.run(_forget(ingestion_id))
                api.delete_ingestion(ingestion_id)
    table = Table(
        "known keys",
        "first run, s",
        "later: min",
        "median",
        "max",
        "keys/s",
        "µs/key",
        "scanner's CPU µs/key",
        "scanner's MiB: first",
        "min",
        "max",
        title="runs that find nothing new",
    )
    for keys in counts:
        low, middle, high = _spread(seconds[keys])
        told = [f"{each / _MIB:.0f}" for each in (memory[keys][0], min(memory[keys]), max(memory[keys]))]
        table.add_row(
            f"{keys:,}",
            f"{firsts[keys]:.2f}",
            f"{low:.2f}",
            f"{middle:.2f}",
            f"{high:.2f}",
            f"{keys / middle:,.0f}",
            f"{middle / keys * 1e6:.1f}",
            f"{statistics.median(cpu_s[keys]) / keys * 1e6:.1f}",
            *told,
        )
    return table, max(max(each) for each in memory.values())


def _known(api: AutoloaderClient, url: str, keys: int, *, is_pruned: bool) -> UUID:
    """An ingestion whose ledger says that all keys are loaded, as if runs had loaded them."""
    name = f"bench_scale_{uuid4().hex[:8]}"
    body = definition(name, f"s3://{bucket_of(keys)}/{PREFIX}")
    body["source"]["partition_pruning"] = {"enabled": is_pruned, "settled_after_s": 3600}
    body["source"]["credentials"] = _access(url).model_dump(exclude_none=True)
    ingestion_id = api.create_ingestion(body).id
    asyncio.run(_fill(ingestion_id, keys))
    return ingestion_id


async def _fill(ingestion_id: UUID, keys: int) -> None:
    bucket, run_id = bucket_of(keys), uuid4()
    files = (file_of(bucket, number) for number in range(keys))
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        generation = await connection.fetchval("SELECT generation FROM control.ingestion WHERE id = $1", ingestion_id)
        await connection.copy_records_to_table(
            "file",
            schema_name="ledger",
            columns=_COLUMNS,
            records=(
                (
                    ingestion_id,
                    generation,
                    f.digest,
                    f.version_tag,
                    f.bucket,
                    f.key,
                    f.etag,
                    f.size_bytes,
                    f.last_modified,
                    "committed",
                    run_id,
                    1,
                )
                for f in files
            ),
            timeout=600,
        )
        await connection.execute("VACUUM (ANALYZE) ledger.file", timeout=600)  # as autovacuum would have, in time
    finally:
        await connection.close()


async def _forget(ingestion_id: UUID) -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        await connection.execute("DELETE FROM ledger.file WHERE ingestion_id = $1", ingestion_id, timeout=600)
    finally:
        await connection.close()


def _scanner() -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        if "services.scanner" in (process.info["cmdline"] or ()):
            return process
    raise SystemExit("no scanner runs here. Start it with `make services`, or let `make bench-scale` do so.")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


if __name__ == "__main__":
    sys.exit(main())
