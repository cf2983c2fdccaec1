"""S3 and what speaks its protocol, through aioboto3. The only module that knows botocore.

One client per access, kept open: making one costs about 100 ms and some megabytes of service model.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from itertools import repeat
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import decode_list_object_v2
from botocore.parsers import create_parser

from libs.common.contracts.definition import Credentials
from libs.common.errors import AutoloaderError
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.listing_page import Apart, entries, taken_apart
from libs.common.objects.looking import listed
from libs.common.objects.s3_errors import BOTOCORES, OTHER_VERSION, error_code, status_of, translated
from libs.common.objects.stretches import Cutter, Stretch, fingerprint_of

_HEADS_AT_ONCE = 32
_BEFORE_BOTOCORES = "before-parse.*.ListObjectsV2"
"""With this star our handler comes before those of ``before-parse.s3.*``: one of them parses every answer as a whole to
see whether it is an error."""
_APART = "Autoloader.Apart"
"""Where an answer has the objects that botocore has not read."""
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
        async for client, answer in self._answers(bucket, prefix, credentials):
            with self._translated(bucket, credentials):
                page = _page(client, bucket, answer)
            yield page

    async def stretches(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        cutter, read = Cutter(), _nothing

        def stretch(told: bytes) -> Stretch:
            return Stretch(fingerprint_of(told), partial(read, told))

        try:
            async for client, answer in self._answers(bucket, prefix, credentials):
                if (apart := answer.get(_APART)) is not None:
                    read = partial(self._objects, client, bucket, credentials, apart)
                    yield [*map(stretch, cutter.add(apart.objects))]
                    continue
                with self._translated(bucket, credentials):
                    page = _page(client, bucket, answer)
                if page:
                    yield [*map(stretch, cutter.rest()), Stretch(None, partial(tuple, page))]
        except AutoloaderError:
            yield [*map(stretch, cutter.rest())]  # what the store has told already is not lost
            raise
        yield [*map(stretch, cutter.rest())]

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

    async def _answers(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[tuple[Any, Any]]:
        """The pages of a listing as the store sends them, with the client that asked."""
        with self._translated(bucket, credentials):
            client = await self._client(credentials)
        token: dict[str, str] | None = {}
        while token is not None:
            with self._translated(bucket, credentials):
                answer = await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
                token = _following(answer, token)
            yield client, answer

    def _objects(
        self, client: Any, bucket: str, credentials: Credentials | None, apart: Apart, told: bytes
    ) -> Sequence[FileVersion]:
        """Some objects, told as in the page ``apart``."""
        with self._translated(bucket, credentials):
            return _read(client, bucket, apart, told)

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
                client.meta.events.register(_BEFORE_BOTOCORES, _take_apart)
                self._clients[access] = client
            return self._clients[access]

    def _where(self, credentials: Credentials | None) -> str:
        access = credentials or self._default
        return (access.endpoint_url if access else None) or "AWS"


async def _side_by_side(client: Any, bucket: str, keys: Sequence[str]) -> dict[str, FileVersion]:
    """See ``looking.listed``. Whoever may not list may ask for each object, so a refusal is no matter here."""

    async def page_after(prefix: str, key: str) -> Sequence[FileVersion]:
        start = {"StartAfter": key} if key else {}
        return _page(client, bucket, await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **start))

    try:
        return await listed(keys, page_after)
    except BOTOCORES:
        return {}


def _is_redirected(params: Any, **_: Any) -> None:
    """Keeps botocore from asking for ever: on a redirect it asks HEAD for the bucket's region, and when that is
    redirected too (as by a proxy that wants https), it asks HEAD for the bucket's region. We never ask HEAD."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _take_apart(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Takes the objects out of a page before botocore parses it, and adds them to its answer. Retries, refusals and
    tokens stay botocore's, and so does a page that is not written as expected."""
    if response_dict["status_code"] == 200 and (apart := taken_apart(response_dict["body"])) is not None:
        response_dict["body"], customized_response_dict[_APART] = apart.rest, apart


def _arguments(access: Credentials | None) -> dict[str, str | None]:
    if access is None:
        return {}
    return {
        "aws_access_key_id": access.aws_access_key_id,
        "aws_secret_access_key": access.aws_secret_access_key,
        "endpoint_url": access.endpoint_url,
        "region_name": access.region,
    }


def _page(client: Any, bucket: str, answer: Any) -> Sequence[FileVersion]:
    """The objects of one answer. A listing may end with a page that has no Contents at all (MinIO).

    Raises:
        KeyError: this is no listing; some other program answered with some other XML.
    """
    apart: Apart | None = answer.get(_APART)
    if apart is not None:
        return _read(client, bucket, apart, apart.objects)
    if "Contents" not in answer and "IsTruncated" not in answer and "KeyCount" not in answer:
        raise KeyError("IsTruncated")
    # XML cannot carry every key, so botocore asks for EncodingType=url by itself and undoes it. Asking for it in the
    # call would mean: I undo it myself.
    return [
        FileVersion(bucket, entry["Key"], _etag(entry["ETag"]), entry["Size"], entry["LastModified"])
        for entry in answer.get("Contents", ())
    ]


def _read(client: Any, bucket: str, apart: Apart, objects: bytes) -> Sequence[FileVersion]:
    """Objects that were taken out of a page: by our own reader, or, what is not written as it expects, by botocore."""
    if (read := entries(objects)) is not None:
        return [*map(FileVersion, repeat(bucket), *read)]
    model = client.meta.service_model
    response = {"status_code": 200, "headers": {}, "body": apart.with_(objects)}
    answer = create_parser(model.protocol).parse(response, model.operation_model("ListObjectsV2").output_shape)
    decode_list_object_v2(answer, {"encoding_type_auto_set": True})
    return _page(client, bucket, answer)


def _nothing(_: bytes) -> Sequence[FileVersion]:
    return ()


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
