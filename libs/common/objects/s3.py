"""S3 and what speaks its protocol, through aioboto3. The only module that knows botocore.

One client per access, kept open: making one costs about 100 ms and some megabytes of service model.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import repeat
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import ClientError

from libs.common.contracts.definition import Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.listing_page import Entries, without_entries
from libs.common.objects.looking import listed
from libs.common.objects.s3_errors import BOTOCORES, OTHER_VERSION, error_code, status_of, translated

_HEADS_AT_ONCE = 32
_BEFORE_BOTOCORES = "before-parse.*.ListObjectsV2"
"""With this star our handler comes before those of ``before-parse.s3.*``: one of them parses every answer as a whole to
see whether it is an error."""
_ENTRIES = "Autoloader.Entries"
"""Where an answer has the objects that we have read, and botocore has not."""
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 3},
    max_pool_connections=_HEADS_AT_ONCE,
    s3={"addressing_style": "path"},
)


class S3Objects:
    """An ``ObjectStore``. ``default`` is the access for sources that bring no credentials; None means the
    environment's own chain (profile, instance role). Close it when the process ends."""

    def __init__(self, default: Credentials | None = None) -> None:
        self._default = default
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
        with self._translated(bucket, credentials):
            client = await self._client(credentials)
        token: dict[str, str] = {}
        while True:
            with self._translated(bucket, credentials):
                answer = await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
                page = _page(bucket, answer)
                following = _following(answer, token)
            yield page
            if following is None:
                return
            token = following

    async def versions(
        self, bucket: str, keys: Iterable[str], credentials: Credentials | None
    ) -> dict[str, FileVersion | None]:
        with self._translated(bucket, credentials):
            client = await self._client(credentials)
        asked = list(keys)
        found = await _side_by_side(client, bucket, asked)
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
                        bucket, key, _etag(head["ETag"]), head["ContentLength"], head["LastModified"]
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
                client.meta.events.register(_BEFORE_BOTOCORES, _read_entries)
                self._clients[access] = client
            return self._clients[access]

    def _where(self, credentials: Credentials | None) -> str:
        access = credentials or self._default
        return (access.endpoint_url if access else None) or "AWS"


async def _side_by_side(client: Any, bucket: str, keys: Sequence[str]) -> dict[str, FileVersion]:
    """See ``looking.listed``. Whoever may not list may ask for each object, so a refusal is no matter here."""

    async def page_after(prefix: str, key: str) -> list[FileVersion]:
        start = {"StartAfter": key} if key else {}
        return _page(bucket, await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **start))

    try:
        return await listed(keys, page_after)
    except BOTOCORES:
        return {}


def _is_redirected(params: Any, **_: Any) -> None:
    """Keeps botocore from asking for ever: on a redirect it asks HEAD for the bucket's region, and when that is
    redirected too (as by a proxy that wants https), it asks HEAD for the bucket's region. We never ask HEAD."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _read_entries(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Takes the objects out of a page before botocore parses it, and adds them to its answer. Retries, refusals and
    tokens stay botocore's, and so does a page that is not written as expected."""
    if response_dict["status_code"] == 200 and (read := without_entries(response_dict["body"])) is not None:
        response_dict["body"], customized_response_dict[_ENTRIES] = read


def _arguments(access: Credentials | None) -> dict[str, str | None]:
    if access is None:
        return {}
    return {
        "aws_access_key_id": access.aws_access_key_id,
        "aws_secret_access_key": access.aws_secret_access_key,
        "endpoint_url": access.endpoint_url,
        "region_name": access.region,
    }


def _page(bucket: str, answer: Any) -> list[FileVersion]:
    """The objects of one answer. A listing may end with a page that has no Contents at all (MinIO).

    Raises:
        KeyError: this is no listing; some other program answered with some other XML.
    """
    entries: Entries | None = answer.get(_ENTRIES)
    if entries is not None:
        return [*map(FileVersion, repeat(bucket), *entries)]
    if "Contents" not in answer and "IsTruncated" not in answer and "KeyCount" not in answer:
        raise KeyError("IsTruncated")
    # XML cannot carry every key, so botocore asks for EncodingType=url by itself and undoes it. Asking for it in the
    # call would mean: I undo it myself.
    return [
        FileVersion(bucket, entry["Key"], _etag(entry["ETag"]), entry["Size"], entry["LastModified"])
        for entry in answer.get("Contents", ())
    ]


def _following(answer: Any, token: dict[str, str]) -> dict[str, str] | None:
    """What asks for the page after this one; None after the last.

    Raises:
        KeyError: there should be one, but the store does not say which, or says the same one again.
    """
    if not answer.get("IsTruncated"):
        return None
    following = {"ContinuationToken": str(answer["NextContinuationToken"])}
    if following == token:
        raise KeyError("NextContinuationToken")
    return following


async def _taken(body: Any, size_max: int) -> bytes:
    """What comes next; the rest is not taken."""
    taken = bytearray()
    while len(taken) < size_max and (more := await body.read(size_max - len(taken))):
        taken += more
    return bytes(taken)


def _etag(raw: str) -> str:
    """Some servers leave out the quotes of an ETag."""
    return raw.strip('"')
