"""What exactly-once costs: a batch through the commit protocol, beside a plain append of the same files.

    python -m devstack run -- python -m bench.commit_overhead [ROUNDS]

Both in one process, on one Spark server, in turns: (a) the append that a Spark user would write by hand, with the
schema given, and (b) the executor's own calls: read the schema, stage with the audit's counts, check that no file
changed, compare with the ledger's side, publish, read back, and the columns for the record. The ledger's transactions
(milliseconds) are not in it; ``run_latency`` measures a whole run. Each size has its first round thrown away.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bench.stack import REGION, S3_KEY, S3_SECRET, S3_URL, SPARK_URL, remove_bucket, s3_client
from libs.common.contracts.definition import Credentials, Destination
from libs.common.ids import new_batch_id, new_ingestion_id
from libs.common.ledger.model.files import FileVersion, tags
from libs.common.objects.s3 import S3Objects
from libs.common.schema import Field, Struct
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.spark_sessions import BatchSession, SessionKey, open_session
from services.executor.adapters.spark_table import SparkTable
from services.executor.adapters.table_session import TableSession
from services.executor.domain.audit import Clean, audit

SIZES = ((3, 1_000), (100, 1_000), (100, 10_000))
"""Files in a batch, records in a file."""
SCHEMA = Struct(
    (
        Field("id", "bigint"),
        Field("timestamp", "string"),
        Field("user_id", "string"),
        Field("event_type", "string"),
        Field("value", "double"),
    )
)
_COLUMNS = "id BIGINT, timestamp STRING, user_id STRING, event_type STRING, value DOUBLE"
_PROPERTIES = {"autoloader.batch": "bench", "autoloader.run": "bench"}


class Bench:
    """A bucket and two tables of its own."""

    def __init__(self) -> None:
        name = f"overhead_{uuid4().hex[:8]}"
        access = Credentials(
            aws_access_key_id=S3_KEY, aws_secret_access_key=S3_SECRET, endpoint_url=S3_URL, region=REGION
        )
        self.bucket = name.replace("_", "-")
        self.s3: Any = s3_client()
        self.s3.create_bucket(Bucket=self.bucket)
        self.to = Destination(catalog="test_catalog", database="test_db", table=name)
        self.plain = f"{self.to.identifier}_plain"
        self.spark = open_session(SessionKey(SPARK_URL, self.bucket, None))
        self.threads = ThreadPoolExecutor(1)
        self.table = SparkTable(
            TableSession(BatchSession(self.spark, self.threads, 600), SPARK_URL, self.to), JsonLines()
        )
        self.objects = S3Objects(access)
        self.ingestion_id = new_ingestion_id()

    async def measure(self, rounds: int) -> None:
        """Prints a line per size."""
        await self.table.create(SCHEMA)
        self.spark.sql(f"CREATE TABLE {self.plain} ({_COLUMNS}) USING iceberg").collect()
        print(f"{'files x records':>16}  {'plain append':>22}  {'stage-audit-publish':>22}  {'difference':>10}  ratio")
        for files, records in SIZES:
            plain, ours = [], []
            for number in range(rounds + 1):
                batch = self.land(f"{files}x{records}/{number}", files, records)
                if number % 2:
                    ours.append(await self.publish(batch))
                    plain.append(self.append(batch))
                else:
                    plain.append(self.append(batch))
                    ours.append(await self.publish(batch))
            pairs = list(zip(plain[1:], ours[1:], strict=True))
            more_s = statistics.median(o - p for p, o in pairs)
            ratio = statistics.median(o / p for p, o in pairs)
            size = f"{files:>7,} x {records:>6,}"
            print(f"{size}  {_spread(plain[1:])}  {_spread(ours[1:])}  {more_s:>8.2f} s  {ratio:5.2f}")

    def append(self, batch: Sequence[FileVersion]) -> float:
        """By hand. Seconds."""
        began = time.perf_counter()
        paths = [f"s3a://{f.bucket}/{f.key}" for f in batch]
        self.spark.read.schema(_COLUMNS).json(paths).writeTo(self.plain).append()
        return time.perf_counter() - began

    async def publish(self, batch: Sequence[FileVersion]) -> float:
        """The protocol's calls, in its order. Seconds."""
        began = time.perf_counter()
        wap_id = f"al1:{self.ingestion_id}:1:{new_batch_id()}"
        schema = await self.table.schema()
        assert schema is not None
        staged = await self.table.stage(batch, schema, wap_id, _PROPERTIES)
        now = tags(await self.objects.versions(self.bucket, [f.key for f in batch], None))
        verdict = audit(batch, staged, now)
        assert isinstance(verdict, Clean), verdict
        await self.table.history(self.ingestion_id)
        await self.table.publish(staged.snapshot_id)
        assert await self.table.published(wap_id)
        await self.table.columns()
        return time.perf_counter() - began

    def land(self, prefix: str, files: int, records: int) -> list[FileVersion]:
        """New files, as a listing shows them."""
        landed = []
        for file in range(files):
            lines = (
                json.dumps(
                    {
                        "id": file * records + i,
                        "timestamp": "2025-01-07T12:34:56Z",
                        "user_id": f"u{i % 97}",
                        "event_type": "view",
                        "value": i / 7,
                    }
                )
                for i in range(records)
            )
            body = "\n".join(lines).encode()
            key = f"{prefix}/{file:05d}.json"
            etag = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"].strip('"')
            landed.append(FileVersion(self.bucket, key, etag, len(body), datetime.now(UTC)))
        return landed

    async def clean(self) -> None:
        for table in (self.to.identifier, self.plain):
            self.spark.sql(f"DROP TABLE IF EXISTS {table} PURGE").collect()
        remove_bucket(self.s3, self.bucket)
        await self.objects.close()
        self.spark.stop()
        self.threads.shutdown()


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):6.2f} s ({min(seconds):.2f}-{max(seconds):.2f})".rjust(22)


async def main() -> int:
    bench = Bench()
    try:
        await bench.measure(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    finally:
        await bench.clean()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
