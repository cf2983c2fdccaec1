"""S3 and what speaks its protocol, through aioboto3. Beside it and its parts (``s3_…``), nobody knows botocore.

One client per access, kept open: making one costs about 100 ms and some megabytes of service model.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import ClientError

from libs.common.contracts.definition import Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.looking import listed
from libs.common.objects.s3_errors import BOTOCORES, OTHER_VERSION, error_code, status_of, translated
from libs.common.objects.s3_listing import S3Listing, bare_etag, page_of, read_pages_ourselves
from libs.common.objects.side_by_side import Pace, Place, SideBySide
from libs.common.objects.stretches import Stretch

_HEADS_AT_ONCE = 32
_ANSWERS_MAX = 20
"""In which a place is told: 20,000 folders."""
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 3},
    max_pool_connections=_HEADS_AT_ONCE,
    s3={"addressing_style": "path"},
)


class S3Objects:
    """An ``ObjectStore``. ``default`` is the access for sources that bring no credentials; None means the
    environment's own chain (profile, instance role). ``pace`` says how a listing in stretches is asked for. Close it
    when the process ends."""

    def __init__(self, default: Credentials | None = None, pace: Pace = Pace()) -> None:  # noqa: B008  # never changes
        self._default = default
        self._pace = pace
        self._session = aioboto3.Session()
        self._clients: dict[Credentials | None, Any] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def close(self) -> None:
        self._clients.clear()
        await self._stack.aclose()

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[FileVersion]]:
        async for page in self._listing(bucket, credentials).pages(prefix):
            yield page

    def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        return SideBySide(self._listing(bucket, credentials), prefixes, self._pace).pages()

    async def place(self, bucket: str, prefix: str, credentials: Credentials | None) -> Place[FileVersion] | None:
        listing = self._listing(bucket, credentials)
        return await listing.place(prefix, answers_max=_ANSWERS_MAX, page_keys=self._pace.page_keys)

    async def may_list(self, bucket: str, prefix: str, credentials: Credentials | None) -> bool:
        return await self._listing(bucket, credentials).may_walk(prefix)

    async def versions(
        self, bucket: str, keys: Iterable[str], credentials: Credentials | None
    ) -> dict[str, FileVersion | None]:
        with self._translated(bucket, credentials):
            client = await self._client(credentials)
        asked = list(keys)
        found = await _found_in_pages(client, bucket, asked)
        gate = asyncio.Semaphore(_HEADS_AT_ONCE)

        async def look(key: str) -> tuple[str, FileVersion | None]:
            async with gate:
                with self._translated(bucket, credentials):
                    try:
                        head = await client.head_object(Bucket=bucket, Key=key)
                    except ClientError as e:
                        if status_of(e) == 400:
                            # HEAD gives no reason: a wrong region, or a key that no object of this store can have.
                            # A listing tells the first from the second: it raises.
                            await client.list_objects_v2(Bucket=bucket, MaxKeys=1)
                        elif status_of(e) != 404:
                            raise
                        return key, None
                    return key, FileVersion(
                        bucket, key, bare_etag(head["ETag"]), head["ContentLength"], head["LastModified"]
                    )

        try:
            async with asyncio.TaskGroup() as group:
                looks = [group.create_task(look(key)) for key in asked if key not in found]
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]  # one reason is enough; the others are mostly the same
            raise first from first.__cause__
        return {**found, **dict(task.result() for task in looks)}

    async def first_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        return await self._part(file, 0, size_max, credentials)

    async def last_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        return await self._part(file, max(0, file.size_bytes - size_max), size_max, credentials)

    async def _part(
        self, file: FileVersion, start: int, size_max: int, credentials: Credentials | None
    ) -> bytes | None:
        # Of nothing there is no range.
        part = {"Range": f"bytes={start}-{start + size_max - 1}"} if file.size_bytes else {}
        with self._translated(file.bucket, credentials):
            client = await self._client(credentials)
            try:
                answer = await client.get_object(Bucket=file.bucket, Key=file.key, IfMatch=f'"{file.etag}"', **part)
            except ClientError as e:
                if error_code(e) in OTHER_VERSION:
                    return None
                raise
            async with answer["Body"]:  # leaves the connection, and what the store may still want to send
                if start and "ContentRange" not in answer:
                    raise KeyError("ContentRange")  # it knows no ranges, and sends all
                return await _taken(answer["Body"], size_max)

    def _listing(self, bucket: str, credentials: Credentials | None) -> S3Listing:
        opened, translated = partial(self._client, credentials), partial(self._translated, bucket, credentials)
        return S3Listing(opened, translated, bucket, self._pace.page_keys)

    @contextmanager
    def _translated(self, bucket: str, credentials: Credentials | None) -> Iterator[None]:
        try:
            yield
        except BOTOCORES as e:
            raise translated(e, bucket, self._where(credentials)) from e

    async def _client(self, credentials: Credentials | None) -> Any:
        access = credentials or self._default
        async with self._opening:
            if access not in self._clients:
                client = await self._stack.enter_async_context(
                    self._session.client("s3", config=_CONFIG, **_arguments(access))
                )
                client.meta.events.register("before-call.s3.HeadBucket", _is_redirected)
                read_pages_ourselves(client)
                self._clients[access] = client
            return self._clients[access]

    def _where(self, credentials: Credentials | None) -> str:
        access = credentials or self._default
        return (access.endpoint_url if access else None) or "AWS"


async def _found_in_pages(client: Any, bucket: str, keys: Sequence[str]) -> dict[str, FileVersion]:
    """See ``looking.listed``. Whoever may not list may ask for each object, so a refusal is no matter here."""

    async def page_after(prefix: str, key: str) -> Sequence[FileVersion]:
        start = {"StartAfter": key} if key else {}
        return page_of(client, bucket, await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **start))

    try:
        return await listed(keys, page_after)
    except BOTOCORES:
        return {}


def _is_redirected(params: Any, **_: Any) -> None:
    """Keeps botocore from asking for ever: on a redirect it asks HEAD for the bucket's region, and when that is
    redirected too (as by a proxy that wants https), it asks HEAD for the bucket's region. We never ask HEAD."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _arguments(access: Credentials | None) -> dict[str, str | None]:
    if access is None:
        return {}
    return {
        "aws_access_key_id": access.aws_access_key_id,
        "aws_secret_access_key": access.aws_secret_access_key,
        "endpoint_url": access.endpoint_url,
        "region_name": access.region,
    }


async def _taken(body: Any, size_max: int) -> bytes:
    """What comes next; the rest is not taken."""
    taken = bytearray()
    while len(taken) < size_max and (more := await body.read(size_max - len(taken))):
        taken += more
    return bytes(taken)
