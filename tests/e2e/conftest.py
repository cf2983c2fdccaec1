"""What every story may ask for. Session fixtures find the stack; function fixtures give a test its own corner.

Nothing here touches what belongs to another test: stories run side by side (pytest -n 4), on a developer's own stack.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
import pytest_asyncio
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

pytest.register_assert_rewrite("tests.e2e.helpers", "tests.e2e.belongings")

from pyspark.sql import SparkSession  # noqa: E402 - after the rewriting is asked for

from tests.e2e.belongings import Belongings, Broom, assert_fit_for_clients  # noqa: E402
from tests.e2e.environment import Environment  # noqa: E402
from tests.e2e.helpers import (  # noqa: E402
    JsonFile,
    NewIngestion,
    create_standard_ingestion,
    generate_unique_table_name,
    upload_json_files,
)
from tests.e2e.readiness import parts, wait_for  # noqa: E402

LAKEHOUSE_BUCKET = "test-lakehouse"


# --- the stack, once per session ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def environment() -> Environment:
    return Environment.read()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ensure_services_ready(environment: Environment) -> None:
    """Raises RuntimeError, naming the part and `make up`, when one is not there in time."""
    await asyncio.gather(*(wait_for(part) for part in parts(environment)))


@pytest.fixture(scope="session")
def minio_config(environment: Environment) -> dict[str, str]:
    """How to reach the object store, in boto3's words."""
    return {
        "endpoint_url": environment.minio_endpoint,
        "aws_access_key_id": environment.minio_access_key,
        "aws_secret_access_key": environment.minio_secret_key,
        "region": "us-east-1",
    }


@pytest.fixture(scope="session")
def minio_client(minio_config: dict[str, str], ensure_services_ready: None) -> Any:
    """A boto3 S3 client that has been seen to work. boto3 clients may be used from several threads."""
    client = boto3.client(
        "s3",
        endpoint_url=minio_config["endpoint_url"],
        aws_access_key_id=minio_config["aws_access_key_id"],
        aws_secret_access_key=minio_config["aws_secret_access_key"],
        region_name=minio_config["region"],
        config=Config(connect_timeout=5, retries={"max_attempts": 3}),
    )
    try:
        client.list_buckets()
    except (BotoCoreError, ClientError) as e:
        raise RuntimeError(f"MinIO at {minio_config['endpoint_url']} does not serve us: {e}") from e
    return client


@pytest.fixture(scope="session")
def lakehouse_bucket(minio_client: Any) -> str:
    """The bucket of ``test_catalog``'s warehouse. Created if absent, never emptied: other workers' tables are in it."""
    with suppress(minio_client.exceptions.BucketAlreadyOwnedByYou, minio_client.exceptions.BucketAlreadyExists):
        minio_client.create_bucket(Bucket=LAKEHOUSE_BUCKET)
    return LAKEHOUSE_BUCKET


@pytest.fixture(scope="session")
def spark_connect_url(environment: Environment) -> str:
    return environment.spark_connect_url


@pytest.fixture(scope="session")
def test_tenant_id(environment: Environment) -> str:
    return environment.tenant_id


@pytest.fixture(scope="session")
def test_cluster_id(environment: Environment) -> str:
    return environment.cluster_id


@pytest.fixture(scope="session")
def broom(spark_connect_url: str, ensure_services_ready: None) -> Iterator[Broom]:
    broom = Broom(spark_connect_url)
    yield broom
    broom.stop()


# --- a test's own corner -----------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def api_client(
    environment: Environment, ensure_services_ready: None, lakehouse_bucket: str, broom: Broom
) -> AsyncIterator[httpx.AsyncClient]:
    """The real API. Each answer is checked for stack traces and the store's secret; what was created is removed."""
    belongings = Belongings()

    async def is_fit(response: httpx.Response) -> None:
        await response.aread()
        assert_fit_for_clients(response.text, environment.minio_secret_key)

    hooks: dict[str, list[Any]] = {"response": [is_fit, belongings.notice]}
    async with httpx.AsyncClient(base_url=environment.api_url, timeout=30, event_hooks=hooks) as client:
        yield client
        await belongings.remove(client, broom)


@pytest_asyncio.fixture
async def test_bucket(minio_client: Any) -> AsyncIterator[str]:
    """A bucket for this test alone, removed with all it holds."""
    name = f"test-bucket-{datetime.now(UTC):%Y%m%d%H%M%S}-{uuid4().hex[:8]}"
    await asyncio.to_thread(minio_client.create_bucket, Bucket=name)
    yield name
    await asyncio.to_thread(_remove_bucket, minio_client, name)


def _remove_bucket(minio_client: Any, bucket: str) -> None:
    for page in minio_client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if versions := [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]:
            minio_client.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
    minio_client.delete_bucket(Bucket=bucket)


@pytest.fixture
def new_ingestion(
    api_client: httpx.AsyncClient, test_cluster_id: str, test_bucket: str, minio_config: dict[str, str]
) -> NewIngestion:
    """Creates ingestions of the test's bucket, each into a table of its own."""

    async def create(prefix: str, **overrides: Any) -> dict[str, Any]:
        table = generate_unique_table_name(prefix)
        return await create_standard_ingestion(
            api_client, test_cluster_id, test_bucket, minio_config, table, **overrides
        )

    return create


@pytest_asyncio.fixture
async def sample_json_files(minio_client: Any, test_bucket: str, environment: Environment) -> list[JsonFile]:
    """``data/batch_<i>.json`` in the test's bucket: 3 files of 1,000 records unless the environment says otherwise."""
    return await upload_json_files(minio_client, test_bucket, 0, environment.num_files, environment.records_per_file)


@pytest_asyncio.fixture
async def spark_session(spark_connect_url: str, ensure_services_ready: None) -> AsyncIterator[SparkSession]:
    """A session of this test's own, to read tables with."""
    builder = SparkSession.builder.remote(spark_connect_url).appName("E2E-Test-Verification")
    try:
        session = await asyncio.to_thread(builder.create)
    except Exception as e:
        raise RuntimeError(f"Spark Connect at {spark_connect_url} gives no session: {e}") from e
    yield session
    await asyncio.to_thread(session.stop)
