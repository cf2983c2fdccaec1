"""S3 and what speaks its protocol, through aioboto3. The only module that knows botocore.

One client per access, kept open: making one costs about 100 ms and some megabytes of service model.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from libs.common.aside import CLOCK_SKEWED, SKEW_MAX
from libs.common.contracts.definition import Credentials
from libs.common.errors import AutoloaderError, Permanent, Temporary
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.looking import listed

_HEADS_AT_ONCE = 32
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 3},
    max_pool_connections=_HEADS_AT_ONCE,
    s3={"addressing_style": "path"},
)

# What botocore raises. Its parser's and its arguments' errors are no BotoCoreError; a KeyError is an answer that lacks
# what every answer has.
_BOTOCORES = (BotoCoreError, ClientError, ResponseParserError, OSError, TimeoutError, ValueError, KeyError)

# S3 error code → ours. Most stores use these words; what is not here falls back on the HTTP status.
_BUCKET_NOT_FOUND = frozenset({"NoSuchBucket", "InvalidBucketName"})
_ACCESS_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AllAccessDisabled",
     "AccountProblem", "Forbidden", "403", "401"}
)  # fmt: skip
_WRONG_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)
# Words that come with a 4xx and still mean: not now.
_NOT_NOW = frozenset({"RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException", "SlowDown"})

# The key is gone, or was written again since it was listed.
_OTHER_VERSION = frozenset({"NoSuchKey", "PreconditionFailed", "InvalidRange", "412"})


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
                        if _status(e) == 400:
                            # HEAD gives no reason: a wrong region, or a key that no object of this store can have.
                            # A listing tells the first from the second: it raises.
                            await client.list_objects_v2(Bucket=bucket, MaxKeys=1)
                        elif _status(e) != 404:
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
                if _error_code(e) in _OTHER_VERSION:
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
        except _BOTOCORES as e:
            raise _translate(e, bucket, self._where(credentials)) from e

    async def _client(self, credentials: Credentials | None) -> Any:
        access = credentials or self._default
        async with self._opening:
            if access not in self._clients:
                client = await self._stack.enter_async_context(
                    self._session.client("s3", config=_CONFIG, **_arguments(access))
                )
                client.meta.events.register("before-call.s3.HeadBucket", _is_redirected)
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
    except _BOTOCORES:
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


def _page(bucket: str, answer: Any) -> list[FileVersion]:
    """The objects of one answer. A listing may end with a page that has no Contents at all (MinIO).

    Raises:
        KeyError: this is no listing; some other program answered with some other XML.
    """
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


def _error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _skew(error: ClientError) -> timedelta | None:
    """How far our clock is ahead of the store's, if far enough to be the reason of a refusal. An answer to HEAD has no
    body and so no code that says it, but each answer has a date."""
    date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        skew = datetime.now(UTC) - parsedate_to_datetime(date)
    except (TypeError, ValueError):  # no date, or none that anybody can read
        return None
    return timedelta(seconds=round(skew.total_seconds())) if abs(skew) > SKEW_MAX else None


def _translate(error: BaseException, bucket: str, where: str) -> AutoloaderError:
    """The border: from botocore's words to ours. Never passes on a message that might hold a key."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Permanent(
            f"there are no credentials for bucket {bucket!r}",
            code="access_denied",
            hint="put them into source.credentials, or give the services access to the bucket",
        )
    if isinstance(error, ClientError):
        code, status = _error_code(error), _status(error)
        if code in _BUCKET_NOT_FOUND or (status == 404 and code in ("404", "NotFound", "")):
            return Permanent(
                f"bucket {bucket!r} does not exist at {where}",
                code="bucket_not_found",
                hint="check source.path and source.credentials.endpoint_url, or create the bucket",
            )
        if code in _WRONG_REGION:
            return Permanent(
                f"bucket {bucket!r} is in another region, or {where} is not the store's own address ({code})",
                code="wrong_region",
                hint="set source.credentials.region to the bucket's region, or endpoint_url to the store's address",
            )
        if status == 403 and (skew := _skew(error)) is not None:
            return Temporary(
                f"the clock of {socket.gethostname()} is {abs(skew)} {'ahead of' if skew > timedelta() else 'behind'} "
                f"that of {where}, which refuses requests signed by it",
                code=CLOCK_SKEWED,
                hint="set that machine's clock right, or the store's if that is the wrong one (NTP); the next run "
                "picks up what is left",
            )
        if code in _ACCESS_DENIED or status in (401, 403):
            return Permanent(
                f"access to bucket {bucket!r} at {where} was denied ({code})",
                code="access_denied",
                hint="check the keys in source.credentials; they need s3:ListBucket and s3:GetObject",
            )
        if 300 <= status < 500 and status not in (408, 429) and code not in _NOT_NOW:
            return Permanent(
                f"{where} refused the request for bucket {bucket!r}: {code}",
                code="storage_refused",
                hint="check source.path and source.credentials",
            )
        return Temporary(f"{where} answered {code or status} for bucket {bucket!r}", code="storage_unreachable",
                         hint="the store is overloaded or failing; the next run picks up what is left")  # fmt: skip
    if isinstance(error, ResponseParserError | KeyError):
        return Temporary(
            f"what answers at {where} does not speak S3, or was cut short",
            code="storage_unreachable",
            hint="check source.credentials.endpoint_url: is it the store's S3 port? The next run picks up what is left",
        )
    if isinstance(error, BotoConnectionError | HTTPClientError | OSError | TimeoutError):
        return Temporary(
            f"object storage at {where} cannot be reached ({type(error).__name__})",
            code="storage_unreachable",
            hint="check source.credentials.endpoint_url and the network; the next run picks up what is left",
        )
    return Permanent(
        f"object storage at {where} cannot be used: {type(error).__name__}",
        code="storage_refused",
        hint="check source.credentials.endpoint_url and region",
    )
