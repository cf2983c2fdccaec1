"""The running stack, as every benchmark needs it: where its parts are, and a bucket that is gone afterwards.

Endpoints are those of the local stack unless the environment (``devstack env``) says otherwise.
"""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

S3_URL = os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000")
S3_KEY = os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin")
S3_SECRET = os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin")
REGION = "us-east-1"
SPARK_URL = os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")
API_URL = os.environ.get("TEST_API_URL", "http://localhost:8000")
CATALOG, DATABASE = "test_catalog", "test_db"
START_IT = "Start it with `make services`, or let `make bench` do so."
_THREADS = 16


def s3_client() -> Any:
    """For use by several threads at once."""
    return boto3.client(
        "s3",
        endpoint_url=S3_URL,
        aws_access_key_id=S3_KEY,
        aws_secret_access_key=S3_SECRET,
        region_name=REGION,
        config=Config(max_pool_connections=_THREADS),
    )


@contextmanager
def bucket_of_its_own(s3: Any, name: str) -> Iterator[str]:
    """A new bucket, which is gone afterwards with all that is in it."""
    s3.create_bucket(Bucket=name)
    try:
        yield name
    finally:
        remove_bucket(s3, name)


def remove_bucket(s3: Any, name: str) -> None:
    empty(s3, name)
    s3.delete_bucket(Bucket=name)


def empty(s3: Any, bucket: str, prefix: str = "") -> None:
    """Deletes every object below a prefix."""

    def delete(found: list[dict[str, Any]]) -> None:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": item["Key"]} for item in found], "Quiet": True})

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(delete, (page["Contents"] for page in pages if "Contents" in page)))


def size_of(s3: Any, bucket: str, prefix: str) -> int:
    """Bytes of all objects below a prefix."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sum(item["Size"] for page in pages for item in page.get("Contents", ()))


def put_all(s3: Any, bucket: str, objects: Iterator[tuple[str, bytes]]) -> None:
    """Several at a time. Bodies are taken from the iterator as they can be sent, so they need not all be in memory."""
    with ThreadPoolExecutor(_THREADS) as threads:
        waiting = []
        for key, body in objects:
            waiting.append(threads.submit(s3.put_object, Bucket=bucket, Key=key, Body=body))
            if len(waiting) == 2 * _THREADS:
                waiting.pop(0).result()
        for put in waiting:
            put.result()


def refuse_unless_up(*, with_services: bool = True) -> None:
    """Raises:
    SystemExit: a part does not answer; the sentence names it.
    """
    needed = {"the object store": S3_URL, "Spark Connect": SPARK_URL}
    if with_services:
        needed["Autoloader's API"] = API_URL
    for name, url in needed.items():
        at = urlsplit(url)
        try:
            socket.create_connection((at.hostname or "localhost", at.port or 80), timeout=3).close()
        except OSError as e:
            raise SystemExit(f"{name} does not answer at {url} ({e}). {START_IT}") from e


def definition(name: str, source: str, **more: Any) -> dict[str, Any]:
    """An ingestion of the NDJSON below ``source`` (``s3://…/``) into a table of its name."""
    return {
        "name": name,
        "cluster_id": "local",
        "source": {"type": "s3", "path": source, "file_pattern": "*.json"},
        "format": {"type": "json"},
        "destination": {"catalog": CATALOG, "database": DATABASE, "table": name},
        **more,
    }


def table_of(name: str) -> str:
    """The table's full name for Spark."""
    return f"{CATALOG}.{DATABASE}.{name}"
