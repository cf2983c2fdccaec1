"""Each test runs on the store in memory and on MinIO, in buckets of its own that are emptied afterwards."""

import os
import uuid
from collections.abc import AsyncIterator, Callable

import aioboto3
import pytest
from botocore.exceptions import EndpointConnectionError

from libs.common.contracts.definition import Credentials
from libs.common.objects.s3 import S3Objects
from tests.contract.objects.worlds import MemoryStore, MinioStore, Store, keys


def access_of_minio() -> Credentials:
    return Credentials(
        aws_access_key_id=os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
        aws_secret_access_key=os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
        endpoint_url=os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
    )


@pytest.fixture(params=["memory", pytest.param("minio", marks=pytest.mark.requires_minio)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    access = access_of_minio()
    if request.param == "memory":
        yield MemoryStore(access)
        return
    objects = S3Objects()
    try:
        async with aioboto3.Session().client(
            "s3",
            endpoint_url=access.endpoint_url,
            aws_access_key_id=access.aws_access_key_id,
            aws_secret_access_key=access.aws_secret_access_key,
            region_name=access.region,
        ) as client:
            made: list[str] = []
            store = MinioStore(access, client, objects)
            request.node.stash[_BUCKETS] = made
            try:
                yield store
            finally:
                for bucket in made:
                    await store.delete(bucket, await keys(store, bucket))
                    await client.delete_bucket(Bucket=bucket)
    finally:
        await objects.close()


_BUCKETS = pytest.StashKey[list[str]]()


@pytest.fixture
def new_bucket_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Names that nobody has; a bucket that gets one is removed afterwards."""

    def make() -> str:
        name = f"objects-{uuid.uuid4().hex[:16]}"
        request.node.stash.setdefault(_BUCKETS, []).append(name)
        return name

    return make


@pytest.fixture
async def bucket(store: Store, new_bucket_name: Callable[[], str]) -> str:
    name = new_bucket_name()
    try:
        await store.create_bucket(name)
    except EndpointConnectionError:
        pytest.fail(f"MinIO at {store.access.endpoint_url} is away; start the local stack with: make up")
    return name
