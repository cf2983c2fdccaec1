"""Spark Connect sessions: one batch has one to itself, then the next batch may have it.

Reuse matters: every session holds a connection of the JDBC catalog until the server has collected it, and the
first statement of a new one costs about a second. A session that failed, timed out or was interrupted is never
used again, and its idle sisters are not trusted either: a server that was restarted knows none of them. The server
evicts a session that nobody used for a while (``spark.connect.session.manager.defaultSessionTimeout``; it is what
frees the connections of an executor that was killed), so one that has rested for long is not used again either.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from libs.common.contracts.definition import Credentials
from services.executor.adapters.spark_errors import unreachable

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
OPEN_TIMEOUT_S = 60.0
# Well below the 10 minutes after which deploy/spark-defaults.conf lets the server evict it.
IDLE_MAX_S = 240.0
# pyspark's own policy waits ten minutes for a server that is gone. We read back and decide, so we want to know.
_RETRIES = DefaultPolicy(max_retries=4, initial_backoff=100, max_backoff=2000)

_CONF = {
    # Two fields whose names differ in case only must be seen as two, to be refused by name.
    "spark.sql.caseSensitive": "true",
    # Explicit paths: look them up here, in a few tasks, not in one job of thousands.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    # Each task that writes makes data files of its own, so a batch is read in as few tasks as it has work for, however
    # many cores there are. Files are cheap to open here, but on a store that is far away not for nothing: a thousand
    # tiny ones make four tasks.
    "spark.sql.files.minPartitionNum": "1",
    "spark.sql.files.maxPartitionBytes": str(64 * 1024**2),
    "spark.sql.files.openCostInBytes": str(256 * 1024),
    # In a partitioned table, rows go to the task of their partition first. Not by ranges, as Iceberg does it for sorted
    # tables: to find them, Spark reads the files once more, and what the pass counts is twice what it wrote.
    "spark.sql.iceberg.distribution-mode": "hash",
    # The plan of a pass names every column many times. What Spark infers from that (which are not null) grows with the
    # square of their number, and is of no use to us: with 2,000 columns it takes minutes.
    "spark.sql.constraintPropagation.enabled": "false",
    # Of a key twice in one object the last value counts, in what is kept beside the columns as in the columns.
    "spark.sql.variant.allowDuplicateKeys": "true",
    # What is no text of its encoding is a bad record (a replacement character shows it), and not the end of a batch.
    "spark.sql.legacy.codingErrorAction": "true",
    # A cluster that is used to shrugging at broken files must not do so for us: what is half read is lost for good.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # What broke a read is said by its causes alone.
    "spark.sql.connect.serverStacktrace.enabled": "true",
    # Nanoseconds come as the numbers they are; reading/conversion.py makes timestamps of them.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Old dates mean what they say, unless the file itself says that its writer reckoned otherwise.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.avro.datetimeRebaseModeInRead": "CORRECTED",
}


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What a session is good for: a server, and the access to one source bucket."""

    url: str
    bucket: str
    credentials: Credentials | None

    @property
    def scheme(self) -> str:
        """The URL scheme under which this access reads. Hadoop keeps one file system per scheme and bucket for the
        life of the server, with the access of whoever came first: under one name for all, a changed key would never
        take effect, and one ingestion would read with the rights of another."""
        access = self.credentials
        if access is None:
            return "s3a"
        parts = (access.aws_access_key_id, access.aws_secret_access_key, access.endpoint_url or "", access.region)
        return f"s3a-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


class BatchSession:
    """A session on loan. ``run`` moves a blocking call to a thread, bounded in time. ``scheme`` begins the paths of
    the source's files."""

    def __init__(
        self, spark: SparkSession, threads: ThreadPoolExecutor, call_timeout_s: float, scheme: str = "s3a"
    ) -> None:
        self.spark = spark
        self.scheme = scheme
        self.reusable = True
        self._threads = threads
        self._timeout_s = call_timeout_s

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``. Whatever it raises, or a time-out, makes the session unfit for the next batch."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except BaseException:
            self.reusable = False
            raise


def open_session(key: SessionKey) -> SparkSession:
    """A new session on the server, with our settings. Blocks."""
    spark: Any = SparkSession.builder.remote(key.url).create()
    spark.client.set_retry_policies([_RETRIES])
    for name, value in {**_CONF, **s3a_conf(key)}.items():
        spark.conf.set(name, value)
    return spark  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Idle:
    """A session that waits for the next batch, and since when (seconds of the pool's clock)."""

    key: SessionKey
    spark: SparkSession
    since_s: float


class SparkSessions:
    """A pool of sessions. ``idle_max`` sessions are kept for later batches, the latest used first: more would pin
    the catalog's connections for ingestions that come once a day. None is used that rested for ``IDLE_MAX_S``."""

    def __init__(
        self,
        *,
        threads: int,
        idle_max: int,
        call_timeout_s: float,
        opener: Callable[[SessionKey], SparkSession] = open_session,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # we log our own, translated
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="spark")
        self._open_session = opener
        self._clock_s = clock_s
        self._idle: list[_Idle] = []
        self._idle_max = idle_max
        self._call_timeout_s = call_timeout_s

    @asynccontextmanager
    async def borrow(self, key: SessionKey) -> AsyncIterator[BatchSession]:
        """A session of the batch's own.

        Raises:
            Temporary: ``spark_unreachable``, within ``CONNECT_TIMEOUT_S`` when nothing listens there.
        """
        await _knock(key.url)
        spark = self._take_idle(key) or await self._open(key)
        session = BatchSession(spark, self._threads, self._call_timeout_s, key.scheme)
        try:
            yield session
        finally:
            if session.reusable:
                self._idle.append(_Idle(key, spark, self._clock_s()))
                while len(self._idle) > self._idle_max:
                    self._retire(self._idle.pop(0).spark, interrupt=False)
            else:
                self._retire(spark, interrupt=True)
                while (sister := self._take_idle(key)) is not None:
                    self._retire(sister, interrupt=False)

    @asynccontextmanager
    async def once(self, url: str) -> AsyncIterator[BatchSession]:
        """A new session that nobody uses again. Raises as ``borrow``."""
        await _knock(url)
        spark = await self._open(SessionKey(url, "", None))
        try:
            yield BatchSession(spark, self._threads, self._call_timeout_s)
        finally:
            self._retire(spark, interrupt=True)

    async def close(self) -> None:
        """Stops the idle sessions, bounded in time; what does not answer is left to the server's own eviction."""
        idle = [one.spark for one in self._idle]
        self._idle.clear()
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*(loop.run_in_executor(self._threads, _stop, spark, False) for spark in idle))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _take_idle(self, key: SessionKey) -> SparkSession | None:
        """The one that was used last, if there is one for this key. Those that rested too long are let go."""
        oldest_s = self._clock_s() - IDLE_MAX_S
        # Kept in the order in which they came to rest.
        while self._idle and self._idle[0].since_s <= oldest_s:
            self._retire(self._idle.pop(0).spark, interrupt=False)
        at = next((i for i in reversed(range(len(self._idle))) if self._idle[i].key == key), None)
        return None if at is None else self._idle.pop(at).spark

    async def _open(self, key: SessionKey) -> SparkSession:
        opening = self._threads.submit(self._open_session, key)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await asyncio.wrap_future(opening)
        except BaseException as e:
            # Nobody waits for it any more; one that opens late would hold its connection for an hour.
            opening.add_done_callback(self._retire_late)
            if isinstance(e, Exception):
                raise unreachable(key.url) from e
            raise

    def _retire_late(self, opening: Future[SparkSession]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._retire(opening.result(), interrupt=False)

    def _retire(self, spark: SparkSession, *, interrupt: bool) -> None:
        # In a thread of its own: a server that hangs must not hold up the next batch.
        with suppress(RuntimeError):
            self._threads.submit(_stop, spark, interrupt)


def s3a_conf(key: SessionKey) -> dict[str, str]:
    """Hadoop settings with which Spark reads one bucket with the ingestion's own access (hadoop-aws, "Configuring
    different S3 buckets with Per-Bucket Configuration")."""
    credentials = key.credentials
    if credentials is None:
        return {}
    prefix = f"fs.s3a.bucket.{key.bucket}"
    conf = {
        f"fs.{key.scheme}.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        f"{prefix}.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        f"{prefix}.access.key": credentials.aws_access_key_id,
        f"{prefix}.secret.key": credentials.aws_secret_access_key,
        f"{prefix}.endpoint.region": credentials.region,
    }
    if credentials.endpoint_url:
        conf[f"{prefix}.endpoint"] = credentials.endpoint_url
        conf[f"{prefix}.path.style.access"] = "true"
        conf[f"{prefix}.connection.ssl.enabled"] = str(credentials.endpoint_url.startswith("https")).lower()
    return conf


def _stop(spark: SparkSession, interrupt: bool) -> None:
    with suppress(Exception):
        if interrupt:
            spark.interruptAll()
        spark.stop()


async def _knock(url: str) -> None:
    """Whether anything listens: pyspark would retry for long before it says so."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address.hostname, address.port or 15002)
        writer.close()
    except (OSError, TimeoutError) as e:
        raise unreachable(url) from e
