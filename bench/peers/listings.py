"""Bare listings of everything below a prefix, page by page, keeping nothing: what a scan cannot do without.

Peers in form: what they "load" is keys. Each has its connection ready before time begins.
"""

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from itertools import islice
from typing import Any, TypeVar

from bench.peers.peer import Loaded
from bench.stack import REGION, S3_KEY, S3_SECRET, S3_URL, s3_client
from bench.workloads import Workload

T = TypeVar("T")


class Boto3:
    def prepare(self, work: Workload) -> None:  # noqa: ARG002  # any prefix is listed in the same way
        self._s3 = s3_client()
        self._keys = 0

    def load(self, work: Workload) -> None:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=work.bucket, Prefix=work.prefix):
            self._keys += len(page.get("Contents", ()))

    def loaded(self) -> Loaded:
        return Loaded(self._keys)

    def clean(self) -> None:
        self._s3.close()


class Aioboto3:
    def prepare(self, work: Workload) -> None:  # noqa: ARG002
        import aioboto3

        self._loop = asyncio.Runner()
        self._open = AsyncExitStack()
        client = aioboto3.Session().client(
            "s3", endpoint_url=S3_URL, aws_access_key_id=S3_KEY, aws_secret_access_key=S3_SECRET, region_name=REGION
        )
        self._s3: Any = self._loop.run(self._open.enter_async_context(client))
        self._keys = 0

    def load(self, work: Workload) -> None:
        self._loop.run(self._list(work))

    async def _list(self, work: Workload) -> None:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=work.bucket, Prefix=work.prefix)
        async for page in pages:
            self._keys += len(page.get("Contents", ()))

    def loaded(self) -> Loaded:
        return Loaded(self._keys)

    def clean(self) -> None:
        self._loop.run(self._open.aclose())
        self._loop.close()


class Obstore:
    def prepare(self, work: Workload) -> None:
        self._store = obstore_of(work.bucket)
        self._keys = 0

    def load(self, work: Workload) -> None:
        import obstore

        for page in obstore.list(self._store, work.prefix, chunk_size=1000):
            self._keys += len(page)

    def loaded(self) -> Loaded:
        return Loaded(self._keys)

    def clean(self) -> None:
        """Nothing is held."""


class Fill:
    """No peer at all: puts the files of a workload into the store, the quickest way there is."""

    def prepare(self, work: Workload) -> None:
        self._store = obstore_of(work.bucket)
        self._files = 0

    def load(self, work: Workload) -> None:
        # In threads: a process that used obstore's async calls now and then aborts when it ends.
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for some in _parts(work.objects(), _AT_A_TIME):
                self._files += sum(threads.map(self._put, some))

    def _put(self, object_: tuple[str, bytes]) -> int:
        import obstore

        obstore.put(self._store, *object_)
        return 1

    def loaded(self) -> Loaded:
        return Loaded(self._files)

    def clean(self) -> None:
        """What was put stays."""


_AT_ONCE = 32
_AT_A_TIME = 10_000
"""Objects whose bytes are in memory."""


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part


def obstore_of(bucket: str) -> Any:
    from obstore.store import S3Store

    return S3Store(
        bucket,
        endpoint=S3_URL,
        access_key_id=S3_KEY,
        secret_access_key=S3_SECRET,
        region=REGION,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
