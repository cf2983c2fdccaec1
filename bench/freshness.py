"""How fresh a table is whose files are loaded as they land: from the end of a put until the rows can be queried.

    python -m devstack run --services -- python -m bench.freshness [OBJECTS]

Small objects land one by one, every half a second with some jitter, and nobody calls. Beside that somebody asks the
table twice a second which rows it has. The first objects warm the server up, and are not counted. What a row took is
measured with one clock, from the answer to its put until the answer of the first query that had it: it includes up to
one round of that query and its pause. An object counts once.
"""

import json
import random
import statistics
import sys
import threading
import time
from typing import Any
from uuid import uuid4

from pyspark.sql.connect import functions as F
from pyspark.sql.connect.session import SparkSession

from bench.peers.spark_tables import drop
from bench.stack import API_URL, SPARK_URL, definition, remove_bucket, s3_client, table_of
from client.rest import AutoloaderClient

OBJECTS = 100
WARM_UP = 20
"""Objects that land before those that count: a Spark server that has just started compiles what it runs."""
EVERY_S = 0.5
JITTER_S = 0.25
ASKED_EVERY_S = 0.5
GIVE_UP_S = 120.0
GOALS_S = {"p50": 4.0, "p95": 8.0}
TELLS_KAFKA = {"QueueArn": "arn:minio:sqs:us-east-1:AUTOLOADER:kafka", "Events": ["s3:ObjectCreated:*"]}


class Watch(threading.Thread):
    """Asks the table again and again which rows it has that are not known yet, and notes when it saw each first."""

    def __init__(self, spark: SparkSession, table: str) -> None:
        super().__init__(name="watch", daemon=True)
        self._spark = spark
        self._table = table
        self.seen: dict[int, float] = {}
        self._known_to = -1
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.is_set():
            rows = self.ids(above=self._known_to)
            at = time.monotonic()
            for each in rows:
                self.seen.setdefault(each, at)
            while self._known_to + 1 in self.seen:
                self._known_to += 1
            self.is_over.wait(ASKED_EVERY_S)

    def ids(self, *, above: int = -1) -> list[int]:
        rows = self._spark.table(self._table).where(F.col("id") > above).select("id")
        return [row.id for row in rows.collect()]


def main() -> int:
    """Prints one table. Exit code 1 if a row is missing, doubled, or came later than the goal says."""
    objects = int(sys.argv[1]) if len(sys.argv) > 1 else OBJECTS
    name = f"bench_{uuid4().hex[:8]}"
    bucket, table = name.replace("_", "-"), table_of(name)
    s3 = s3_client()
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [TELLS_KAFKA]}
    )
    spark = SparkSession.builder.remote(SPARK_URL).create()
    with AutoloaderClient(API_URL) as api:
        _put(s3, bucket, 0)
        ingestion = api.create_ingestion(definition(name, f"s3://{bucket}/data/", schedule={"trigger": "event"}))
        try:
            api.resume(ingestion.id)
            _wait(lambda: spark.catalog.tableExists(table), "the first listing makes the table")
            watch = Watch(spark, table)
            watch.start()
            warmed = _land(s3, bucket, range(1, WARM_UP + 1))
            _wait(lambda: warmed.keys() <= watch.seen.keys(), "the first rows are there")
            landed = _land(s3, bucket, range(WARM_UP + 1, WARM_UP + objects + 1))
            _wait(lambda: landed.keys() <= watch.seen.keys(), "all rows are there")
            watch.is_over.set()
            watch.join()
            ids = watch.ids()
        finally:
            api.delete_ingestion(ingestion.id)
            drop(spark, table)
            remove_bucket(s3, bucket)
            spark.stop()
    took = sorted(watch.seen[each] - at for each, at in landed.items())
    figures = {"p50": statistics.median(took), "p95": took[int(0.95 * (len(took) - 1))], "max": took[-1]}
    print(f"put to queryable, {objects} objects, one every {EVERY_S} s; max_delay_s is the default")
    for what, seconds in figures.items():
        goal = f"   goal {GOALS_S[what]:.0f} s" if what in GOALS_S else ""
        print(f"  {what:<4} {seconds:5.2f} s{goal}")
    is_exact = sorted(ids) == list(range(WARM_UP + objects + 1))
    if not is_exact:
        print(f"  {len(ids)} rows, {len(set(ids))} of them distinct; {WARM_UP + objects + 1} were put")
    return 0 if is_exact and all(figures[what] <= goal for what, goal in GOALS_S.items()) else 1


def _land(s3: Any, bucket: str, numbers: range) -> dict[int, float]:
    """When the put of each object was answered."""
    landed = {}
    for number in numbers:
        _put(s3, bucket, number)
        landed[number] = time.monotonic()
        time.sleep(EVERY_S + random.uniform(-JITTER_S, JITTER_S))
    return landed


def _put(s3: Any, bucket: str, number: int) -> None:
    body = json.dumps({"id": number, "text": f"row {number}"}).encode() + b"\n"
    s3.put_object(Bucket=bucket, Key=f"data/{number:05}.json", Body=body)


def _wait(until: Any, what: str) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while not until():
        if time.monotonic() > give_up:
            raise SystemExit(f"not within {GIVE_UP_S:.0f} s: {what}")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
