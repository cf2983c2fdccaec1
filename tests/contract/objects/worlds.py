"""One way to put objects into a store, whichever it is."""

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Protocol

from libs.common.contracts.definition import Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ScannedStore
from libs.common.objects.s3 import S3Objects
from tests.support.memory_objects import MemoryObjects

_AT_ONCE = 48
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


class Store(Protocol):
    """A store and its owner's hands. ``access`` is what it lets in."""

    objects: ScannedStore
    access: Credentials

    async def create_bucket(self, bucket: str) -> None: ...
    async def put(self, bucket: str, keys: Iterable[str], body: bytes = b"{}\n") -> None: ...
    async def delete(self, bucket: str, keys: Iterable[str]) -> None: ...


class MemoryStore:
    def __init__(self, access: Credentials) -> None:
        self.access = access
        self._memory = MemoryObjects(access=access)
        self.objects: ScannedStore = self._memory

    async def create_bucket(self, bucket: str) -> None:
        self._memory.create_bucket(bucket)

    async def put(self, bucket: str, keys: Iterable[str], body: bytes = b"{}\n") -> None:
        for key in keys:
            self._memory.put(bucket, key, body)

    async def delete(self, bucket: str, keys: Iterable[str]) -> None:
        for key in keys:
            self._memory.delete(bucket, key)


class MinioStore:
    def __init__(self, access: Credentials, client: Any, objects: S3Objects) -> None:
        self.access = access
        self.objects: ScannedStore = objects
        self._client = client

    async def create_bucket(self, bucket: str) -> None:
        await self._client.create_bucket(Bucket=bucket)

    async def put(self, bucket: str, keys: Iterable[str], body: bytes = b"{}\n") -> None:
        await _each([self._client.put_object(Bucket=bucket, Key=key, Body=body) for key in keys])

    async def delete(self, bucket: str, keys: Iterable[str]) -> None:
        # XML carries plain keys safely, a thousand at a time; the others are named in a URL.
        plain: list[str] = []
        special: list[str] = []
        for key in keys:
            (plain if _PLAIN.fullmatch(key) else special).append(key)
        for start in range(0, len(plain), 1000):
            named = [{"Key": key} for key in plain[start : start + 1000]]
            await self._client.delete_objects(Bucket=bucket, Delete={"Objects": named, "Quiet": True})
        await _each([self._client.delete_object(Bucket=bucket, Key=key) for key in special])


async def _each(calls: list[Any]) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Any) -> None:
        async with gate:
            await call

    await asyncio.gather(*(one(call) for call in calls))


async def listed(store: Store, bucket: str, prefix: str = "") -> list[list[FileVersion]]:
    """The pages of a listing."""
    return [list(page) async for page in store.objects.pages(bucket, prefix, store.access)]


async def keys(store: Store, bucket: str, prefix: str = "") -> list[str]:
    return [f.key for page in await listed(store, bucket, prefix) for f in page]
