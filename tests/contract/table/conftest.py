"""Each test runs on the table in memory and on Spark with Iceberg, in a table of its own that is dropped afterwards.

The sessions are shared by all tests: opening one takes a second. A test that needs Spark only asks for ``on_spark``.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from libs.common.contracts.definition import Credentials
from services.executor.adapters.spark_sessions import SessionKey
from tests.contract.table.worlds import BUCKET, MemoryWorld, Spark, SparkWorld, World

URL = os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")
ACCESS = Credentials(
    aws_access_key_id=os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
    aws_secret_access_key=os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
    endpoint_url=os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
)


@pytest.fixture(scope="session")
def s3() -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=ACCESS.endpoint_url,
        aws_access_key_id=ACCESS.aws_access_key_id,
        aws_secret_access_key=ACCESS.aws_secret_access_key,
        region_name=ACCESS.region,
    )
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(scope="session")
def spark() -> Iterator[Spark]:
    address = urlsplit(URL)
    try:
        socket.create_connection((address.hostname or "", address.port or 15002), timeout=3).close()
    except OSError as e:
        pytest.fail(f"Spark Connect at {URL} is away ({e}); start the local stack with: make up")
    spark = Spark(SessionKey(URL, BUCKET, ACCESS))
    yield spark
    spark.close()


@pytest.fixture
def on_spark(spark: Spark, s3: Any) -> Iterator[SparkWorld]:
    world = SparkWorld(spark, s3)
    yield world
    world.clean()


@pytest.fixture(
    params=["memory", pytest.param("spark", marks=[pytest.mark.requires_spark, pytest.mark.requires_minio])]
)
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    found: World = request.getfixturevalue("on_spark")
    return found
