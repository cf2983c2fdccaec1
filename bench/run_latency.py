"""How long a user waits: from POST …/run to the final status, for a run of three small files, on a warm stack.

    python -m devstack run --services -- python -m bench.run_latency [ROUNDS]

Three new files of 1,000 records land before every round. The first round creates the table and is reported apart.
Beside it, in the same rounds and on the same server, the plain append of the same three files that a Spark user would
write by hand: the ratio tells what discovery, ledger, staging, audit and publishing cost.
"""

import statistics
import sys
import time
from typing import Any
from uuid import UUID, uuid4

from pyspark.sql.connect.session import SparkSession

from bench.peers.ours import run_to_success
from bench.peers.spark_tables import create, drop
from bench.stack import API_URL, SPARK_URL, definition, put_all, remove_bucket, s3_client, table_of
from bench.workloads import DDL, lines
from client.rest import AutoloaderClient

FILES = 3
RECORDS = 1000
LIMIT_S = 120.0


def main() -> int:
    """Prints one table. Exit code 1 if a run did not succeed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    name = f"bench_{uuid4().hex[:8]}"
    bucket = name.replace("_", "-")
    s3 = s3_client()
    s3.create_bucket(Bucket=bucket)
    spark = SparkSession.builder.remote(SPARK_URL).create()
    create(spark, table_of(f"{name}_plain"))
    with AutoloaderClient(API_URL) as api:
        ingestion = api.create_ingestion(definition(name, f"s3://{bucket}/data/"))
        ours, plain = [], []
        try:
            for number in range(rounds + 1):
                keys = _land(s3, bucket, number)
                ours.append(_run(api, ingestion.id))
                plain.append(_append(spark, name, keys))
        finally:
            api.delete_ingestion(ingestion.id)
            for table in (name, f"{name}_plain"):
                drop(spark, table_of(table))
            remove_bucket(s3, bucket)
            spark.stop()
    print(f"run of {FILES} files x {RECORDS} records, {rounds} rounds after the first")
    print(f"  first run (creates the table)  {ours[0]:6.2f} s")
    _line("POST to success", ours[1:])
    _line("plain append by hand", plain[1:])
    differences = [a - b for a, b in zip(ours[1:], plain[1:], strict=True)]
    _line("difference", differences)
    ratios = [a / b for a, b in zip(ours[1:], plain[1:], strict=True)]
    print(f"  ratio, pair by pair            median {statistics.median(ratios):5.2f}")
    return 0


def _line(what: str, seconds: list[float]) -> None:
    print(f"  {what:<30} median {statistics.median(seconds):5.2f} s   {min(seconds):.2f} to {max(seconds):.2f}")


def _run(api: AutoloaderClient, ingestion_id: UUID) -> float:
    began = time.perf_counter()
    run = run_to_success(api, ingestion_id, limit_s=LIMIT_S)
    took = time.perf_counter() - began
    if run.metrics.files_processed != FILES:
        raise SystemExit(f"run {run.id} loaded {run.metrics.files_processed} files")
    return took


def _append(spark: SparkSession, name: str, keys: list[str]) -> float:
    began = time.perf_counter()
    paths = [f"s3a://{name.replace('_', '-')}/{key}" for key in keys]
    spark.read.schema(DDL).json(paths).writeTo(table_of(f"{name}_plain")).append()
    return time.perf_counter() - began


def _land(s3: Any, bucket: str, number: int) -> list[str]:
    keys = [f"data/{number:05d}_{file}.json" for file in range(FILES)]
    first = number * FILES * RECORDS
    put_all(s3, bucket, ((key, lines(first + file * RECORDS, RECORDS)) for file, key in enumerate(keys)))
    return keys


if __name__ == "__main__":
    sys.exit(main())
