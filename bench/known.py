"""Looking for new files among a hundred thousand that are known: ours, beside the bare listing of the same prefix.

Twice: when the store has just been listed, and after a pause. A store remembers a listing for a while; who comes
every five minutes meets one that has forgotten it.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from pyspark.sql.connect.session import SparkSession

from bench.catalogue import LIMIT_S
from bench.peers.apart import measure_apart
from bench.peers.ours import run_to_success
from bench.peers.ours_known import FIRST, OursKnown, remember
from bench.peers.peer import measure
from bench.peers.spark_tables import drop
from bench.rounds import Runner
from bench.stack import definition, put_all, table_of
from bench.workloads import Workload
from client.rest import AutoloaderClient

NEW = 10
PAUSE_S = 90.0
PRIME_S = 300.0
OURS_NEW, OURS_NOTHING = "ours-new", "ours-nothing"
LISTINGS: Mapping[str, str] = {
    "list-boto3": "The bare listing with boto3",
    "list-aioboto3": "The bare listing with aioboto3",
    "list-obstore": "The bare listing with obstore",
}
KNOWN_VARIANTS = (OURS_NEW, OURS_NOTHING, *LISTINGS)


@contextmanager
def known_files(
    work: Workload, api: AutoloaderClient, spark: SparkSession, s3: Any, say: Callable[[str], None]
) -> Iterator[Callable[[float, frozenset[str]], Mapping[str, Runner]]]:
    """An ingestion that knows all files of a workload. Gives the runners, for a pause before each and without some."""
    name = f"bench_known_{uuid4().hex[:8]}"
    ingestion = api.create_ingestion(definition(name, f"s3://{work.source}")).id
    try:
        put_all(s3, work.bucket, (one for one, _ in zip(work.objects(), range(FIRST), strict=False)))
        run_to_success(api, ingestion, limit_s=PRIME_S)
        filled = measure_apart("fill", work, limit_s=PRIME_S)
        asyncio.run(remember(work, ingestion))
        say(f"{work.key}: {work.files:,} files were put into the store in {filled.seconds:.0f} s, and into the ledger")

        def runners(pause_s: float, skip: frozenset[str]) -> Mapping[str, Runner]:
            found = {
                OURS_NEW: Runner(f"Autoloader, {NEW} new files", _ours(NEW, pause_s)),
                OURS_NOTHING: Runner("Autoloader, nothing new", _ours(0, pause_s)),
                **{key: Runner(title, _listing(key, pause_s)) for key, title in LISTINGS.items()},
            }
            return {key: runner for key, runner in found.items() if key not in skip}

        def _ours(new: int, pause_s: float) -> Callable[[Workload], Any]:
            peer = OursKnown(api, s3, ingestion, new, limit_s=LIMIT_S)
            return lambda work: measure(peer, work, rows=new, pause_s=pause_s)

        yield runners
    finally:
        api.delete_ingestion(ingestion)
        drop(spark, table_of(name))


def _listing(key: str, pause_s: float) -> Callable[[Workload], Any]:
    return lambda work: measure_apart(key, work, limit_s=LIMIT_S, pause_s=pause_s)
