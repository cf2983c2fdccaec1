"""How long a user waits: from POST …/run to the final status, for a run of three small files, on a warm stack.

    python -m devstack run --services -- python -m bench.run_latency [ROUNDS]

Three new files of 1,000 records land before every round. The first round creates the table and is reported apart.
Beside it, in the same rounds and on the same server, the plain append of the same three files that a Spark user would
write by hand: the ratio tells what discovery, ledger, staging, audit and publishing cost.
"""

import json
import os
import statistics
import sys
import time
from typing import Any
from uuid import UUID, uuid4

import boto3
from pyspark.sql.connect.session import SparkSession

from client.rest import AutoloaderClient

FILES = 3
RECORDS = 1000
POLL_S = 0.02
FINAL = ("success", "partial", "failed", "cancelled")


def main() -> int:
    """Prints one table. Exit code 1 if a run did not succeed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    name = f"bench_{uuid4().hex[:8]}"
    s3 = _s3()
    s3.create_bucket(Bucket=name.replace("_", "-"))
    spark = SparkSession.builder.remote(os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")).create()
    spark.sql(
        f"CREATE TABLE test_catalog.test_db.{name}_plain "
        "(id BIGINT, timestamp STRING, user_id STRING, event_type STRING, value DOUBLE) USING iceberg"
    ).collect()
    with AutoloaderClient(os.environ.get("TEST_API_URL", "http://localhost:8000")) as api:
        ingestion = api.create_ingestion(_definition(name))
        ours, plain = [], []
        try:
            for number in range(rounds + 1):
                keys = _land(s3, name.replace("_", "-"), number)
                ours.append(_run(api, ingestion.id))
                plain.append(_append(spark, name, keys))
        finally:
            api.delete_ingestion(ingestion.id)
            for table in (name, f"{name}_plain"):
                spark.sql(f"DROP TABLE IF EXISTS test_catalog.test_db.{table} PURGE").collect()
            _empty(s3, name.replace("_", "-"))
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
    accepted = api.start_run(ingestion_id)
    while (run := api.run(ingestion_id, accepted.run_id)).status not in FINAL:
        time.sleep(POLL_S)
    took = time.perf_counter() - began
    if run.status != "success" or run.metrics.files_processed != FILES:
        raise SystemExit(f"run {run.id} ended {run.status}: {run.errors}")
    return took


def _append(spark: SparkSession, name: str, keys: list[str]) -> float:
    began = time.perf_counter()
    schema = "id BIGINT, timestamp STRING, user_id STRING, event_type STRING, value DOUBLE"
    paths = [f"s3a://{name.replace('_', '-')}/{key}" for key in keys]
    spark.read.schema(schema).json(paths).writeTo(f"test_catalog.test_db.{name}_plain").append()
    return time.perf_counter() - began


def _land(s3: Any, bucket: str, number: int) -> list[str]:
    keys = []
    for file in range(FILES):
        first = (number * FILES + file) * RECORDS
        lines = [
            json.dumps(
                {
                    "id": first + i,
                    "timestamp": "2025-01-07T12:34:56Z",
                    "user_id": f"u{i % 97}",
                    "event_type": "view",
                    "value": i / 7,
                }
            )
            for i in range(RECORDS)
        ]
        keys.append(f"data/{number:05d}_{file}.json")
        s3.put_object(Bucket=bucket, Key=keys[-1], Body="\n".join(lines).encode())
    return keys


def _empty(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)


def _s3() -> Any:
    return boto3.client(
        "s3",
        endpoint_url=os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
        aws_access_key_id=os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
        aws_secret_access_key=os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
        region_name="us-east-1",
    )


def _definition(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "cluster_id": "local",
        "source": {"type": "s3", "path": f"s3://{name.replace('_', '-')}/data/", "file_pattern": "*.json"},
        "format": {"type": "json"},
        "destination": {"catalog": "test_catalog", "database": "test_db", "table": name},
    }


if __name__ == "__main__":
    sys.exit(main())
