"""Looking for new files among a hundred thousand that are known: ours, beside the bare listing of the same prefix.

Twice: when the store has just been listed, and after a pause. A store remembers a listing for a while; who comes
every five minutes meets one that has forgotten it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice, product
from typing import Any
from uuid import uuid4

from pyspark.sql.connect.session import SparkSession

from bench.catalogue import LIMIT_S
from bench.measures import Took
from bench.peers.apart import measure_apart
from bench.peers.ours import run_to_success
from bench.peers.ours_known import FIRST, OursKnown, new_files, remember
from bench.peers.peer import measure
from bench.peers.spark_stream import StreamKnown
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
OTHERS: Mapping[str, str] = {"stream": "Structured Streaming", "dlt": "dlt"}
Once = Callable[[Workload], Took]
KNOWN_VARIANTS = (OURS_NEW, OURS_NOTHING, *LISTINGS)


class Known:
    """An ingestion, a stream and a pipeline that know all files of a workload."""

    def __init__(self, work: Workload, api: AutoloaderClient, spark: SparkSession, s3: Any) -> None:
        self._work = work
        self._api = api
        self._spark = spark
        self._s3 = s3
        self._table = f"bench_known_{uuid4().hex[:8]}"
        self._stream = StreamKnown(spark, s3, limit_s=LIMIT_S)
        self._ingestion = api.create_ingestion(definition(self._table, f"s3://{work.source}")).id
        self._since = datetime.now(UTC)

    def prime(self) -> float:
        """Seconds that it took to put the files into the store."""
        work = self._work
        put_all(self._s3, work.bucket, islice(work.objects(), FIRST))
        run_to_success(self._api, self._ingestion, limit_s=PRIME_S)
        self._stream.prime(work)
        filled = measure_apart("fill", work, limit_s=PRIME_S)
        self._since = datetime.now(UTC)
        asyncio.run(remember(work, self._ingestion))
        return filled.seconds

    def close(self) -> None:
        self._api.delete_ingestion(self._ingestion)
        self._stream.end()
        drop(self._spark, table_of(self._table))

    def runners(self, pause_s: float, skip: frozenset[str]) -> Mapping[str, Runner]:
        """With a pause before each. Those of others take no part in pauses: they would take hours."""
        found = {
            OURS_NEW: Runner(f"Autoloader, {NEW} new files", self._ours(NEW, pause_s)),
            OURS_NOTHING: Runner("Autoloader, nothing new", self._ours(0, pause_s)),
            **{key: Runner(title, _listing(key, pause_s)) for key, title in LISTINGS.items()},
        }
        if not pause_s:
            for (key, title), new in product(OTHERS.items(), (NEW, 0)):
                words = f"{title}, {f'{NEW} new files' if new else 'nothing new'}"
                once = self._streaming(new) if key == "stream" else self._dlt(new)
                found[f"{key}-{'new' if new else 'nothing'}"] = Runner(words, once, is_warmed_up=key == "stream")
        return {
            key: replace(runner, once=self._awake(runner.once))
            for key, runner in found.items()
            if not {key, key.partition("-")[0]} & skip
        }

    def _awake(self, once: Once) -> Once:
        """A server gives up sessions that ask nothing for ten minutes, and pauses are longer together."""

        def asked_first(work: Workload) -> Took:
            self._spark.range(1).count()
            return once(work)

        return asked_first

    def _ours(self, new: int, pause_s: float) -> Once:
        peer = OursKnown(self._api, self._s3, self._ingestion, new, limit_s=LIMIT_S)
        return lambda work: measure(peer, work, rows=new, pause_s=pause_s)

    def _streaming(self, new: int) -> Once:
        def once(work: Workload) -> Took:
            self._stream.new = new
            return measure(self._stream, work, rows=new)

        return once

    def _dlt(self, new: int) -> Once:
        def once(work: Workload) -> Took:
            with new_files(self._s3, work, new):
                return measure_apart("dlt-known", work, limit_s=LIMIT_S, rows=new, BENCH_SINCE=self._since.isoformat())

        return once


def _listing(key: str, pause_s: float) -> Once:
    return lambda work: measure_apart(key, work, limit_s=LIMIT_S, pause_s=pause_s)
