"""An object store in memory that keeps the promises of ``objects.ports``, and can be made to fail.

Keys are listed in the order of their UTF-8 bytes, a page at a time, each page as the store is at that moment.
``on_page`` is called before each page, with its number from 1: it may change the store, or raise.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from libs.common.contracts.definition import Credentials
from libs.common.errors import Permanent
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.side_by_side import Place
from libs.common.objects.stretches import Cutter, Stretch, fingerprint_of

PAGE = 1000


@dataclass
class MemoryObjects:
    """Buckets by name, and in each the objects by key. ``access`` is the only one that is let in; None lets all."""

    page_size: int = PAGE
    access: Credentials | None = None
    on_page: Callable[[int], None] | None = None
    buckets: dict[str, dict[str, FileVersion]] = field(default_factory=dict)
    bodies: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def create_bucket(self, bucket: str) -> None:
        self.buckets.setdefault(bucket, {})

    def put(self, bucket: str, key: str, body: bytes = b"{}\n") -> FileVersion:
        """Writes an object; makes the bucket if need be. The same body gives the same version."""
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        version = FileVersion(bucket, key, etag, len(body), datetime.now(UTC))
        self.buckets.setdefault(bucket, {})[key] = version
        self.bodies[bucket, key] = body
        return version

    def delete(self, bucket: str, key: str) -> None:
        self.buckets[bucket].pop(key, None)
        self.bodies.pop((bucket, key), None)

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[FileVersion]]:
        after: bytes | None = None
        number = 0
        while True:
            await asyncio.sleep(0)
            number += 1
            if self.on_page is not None:
                self.on_page(number)
            objects = self._opened(bucket, credentials)
            rest = sorted(
                (key.encode(), f)
                for key, f in objects.items()
                if key.startswith(prefix) and (after is None or key.encode() > after)
            )
            yield [f for _, f in rest[: self.page_size]]
            if len(rest) <= self.page_size:
                return
            after = rest[self.page_size - 1][0]

    async def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        for prefix in prefixes:
            async for some in self._stretches(bucket, prefix, credentials):
                yield some

    async def place(self, bucket: str, prefix: str, credentials: Credentials | None) -> Place[FileVersion] | None:
        await asyncio.sleep(0)
        try:
            objects = self._opened(bucket, credentials)
        except Permanent:
            return None
        inner = sorted((key for key in objects if key.startswith(prefix)), key=str.encode)
        folders = {prefix + key.removeprefix(prefix).split("/")[0] + "/" for key in inner if "/" in key[len(prefix) :]}
        beside = [objects[key] for key in inner if "/" not in key[len(prefix) :]]
        return Place(sorted(folders, key=str.encode), beside)

    async def may_list(self, bucket: str, prefix: str, credentials: Credentials | None) -> bool:
        await asyncio.sleep(0)
        return bucket in self.buckets and (self.access is None or credentials == self.access)

    async def _stretches(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        cutter, waiting = Cutter(), deque[FileVersion]()

        def stretch(told: bytes) -> Stretch:
            files = [waiting.popleft() for _ in range(told.count(b"<Contents>"))]
            return Stretch(fingerprint_of(told), lambda: files)

        try:
            async for page in self.pages(bucket, prefix, credentials):
                waiting.extend(page)
                ended = cutter.add(b"".join(map(_told, page)))
                # A test that has small pages wants something to happen behind each of them.
                yield [stretch(told) for told in (ended if self.page_size == PAGE else (*ended, *cutter.rest()))]
        except Exception:
            yield [stretch(told) for told in cutter.rest()]
            raise
        yield [stretch(told) for told in cutter.rest()]

    async def versions(
        self, bucket: str, keys: Iterable[str], credentials: Credentials | None
    ) -> dict[str, FileVersion | None]:
        await asyncio.sleep(0)
        if self.access is not None and credentials != self.access:
            raise _denied(bucket)
        # As with S3: a HEAD cannot tell a missing bucket from a missing key.
        objects = self.buckets.get(bucket, {})
        return {key: objects.get(key) for key in keys}

    async def first_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        body = await self._body(file, credentials)
        return None if body is None else body[:size_max]

    async def last_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        body = await self._body(file, credentials)
        return None if body is None else body[max(0, len(body) - size_max) :]

    async def _body(self, file: FileVersion, credentials: Credentials | None) -> bytes | None:
        await asyncio.sleep(0)
        now = self._opened(file.bucket, credentials).get(file.key)
        if now is None or now.version_tag != file.version_tag:
            return None
        return self.bodies[file.bucket, file.key]

    def _opened(self, bucket: str, credentials: Credentials | None) -> dict[str, FileVersion]:
        if self.access is not None and credentials != self.access:
            raise _denied(bucket)
        if bucket not in self.buckets:
            raise Permanent(f"bucket {bucket!r} does not exist", code="bucket_not_found", hint="create the bucket")
        return self.buckets[bucket]


def _told(f: FileVersion) -> bytes:
    """As XML, though not as a store would write it."""
    key, at = quote(f.key), f.last_modified.isoformat()
    return f"<Contents><Key>{key}</Key>{at}<ETag>{f.etag}</ETag>{f.size_bytes}</Contents>".encode()


def _denied(bucket: str) -> Permanent:
    return Permanent(f"access to bucket {bucket!r} was denied", code="access_denied", hint="check the keys")
