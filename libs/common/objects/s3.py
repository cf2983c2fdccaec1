"""S3 and what speaks its protocol, through aioboto3. The only module that knows botocore.

One client per access, kept open: making one costs about 100 ms and some megabytes of service model.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
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

from libs.common.contracts.definition import Credentials
from libs.common.errors import AutoloaderError, Permanent, Temporary
from libs.common.ledger.model import FileVersion

_HEADS_AT_ONCE = 32
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 3},
    max_pool_connections=_HEADS_AT_ONCE,
    s3={"addressing_style": "path"},
)

# S3 error code → ours. Most stores use these words; what is not here falls back on the HTTP status.
_BUCKET_NOT_FOUND = frozenset({"NoSuchBucket", "InvalidBucketName"})
_ACCESS_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AllAccessDisabled",
     "AccountProblem", "Forbidden", "403", "401"}
)  # fmt: skip
_WRONG_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
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
        client = await self._client(credentials)
        token: dict[str, str] = {}
        while True:
            try:
                answer = await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
            except (BotoCoreError, ClientError, OSError, TimeoutError) as e:
                raise _translate(e, bucket, self._where(credentials)) from e
            # A listing may end with a page that has no Contents at all (MinIO), and KeyCount may be missing.
            yield [_version(bucket, entry) for entry in answer.get("Contents", ())]
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    async def versions(
        self, bucket: str, keys: Iterable[str], credentials: Credentials | None
    ) -> dict[str, str | None]:
        client = await self._client(credentials)
        gate = asyncio.Semaphore(_HEADS_AT_ONCE)

        async def look(key: str) -> tuple[str, str | None]:
            async with gate:
                try:
                    head = await client.head_object(Bucket=bucket, Key=key)
                except ClientError as e:
                    if _status(e) == 404:
                        return key, None
                    raise
                return key, f"{_etag(head['ETag'])}:{head['ContentLength']}"

        try:
            async with asyncio.TaskGroup() as group:
                looks = [group.create_task(look(key)) for key in keys]
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]
            if isinstance(first, BotoCoreError | ClientError | OSError | TimeoutError):
                raise _translate(first, bucket, self._where(credentials)) from first
            raise
        return dict(task.result() for task in looks)

    async def _client(self, credentials: Credentials | None) -> Any:
        access = credentials or self._default
        async with self._opening:
            if access not in self._clients:
                self._clients[access] = await self._stack.enter_async_context(
                    self._session.client("s3", config=_CONFIG, **_arguments(access))
                )
            return self._clients[access]

    def _where(self, credentials: Credentials | None) -> str:
        access = credentials or self._default
        return (access.endpoint_url if access else None) or "AWS"


def _arguments(access: Credentials | None) -> dict[str, str | None]:
    if access is None:
        return {}
    return {
        "aws_access_key_id": access.aws_access_key_id,
        "aws_secret_access_key": access.aws_secret_access_key,
        "endpoint_url": access.endpoint_url,
        "region_name": access.region,
    }


def _version(bucket: str, entry: Any) -> FileVersion:
    # XML cannot carry every key, so botocore asks for EncodingType=url by itself and undoes it. Asking for it in the
    # call would mean: I undo it myself.
    return FileVersion(bucket, entry["Key"], _etag(entry["ETag"]), entry["Size"], entry["LastModified"])


def _etag(raw: str) -> str:
    """Some servers leave out the quotes of an ETag."""
    return raw.strip('"')


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _translate(error: BaseException, bucket: str, where: str) -> AutoloaderError:
    """The border: from botocore's words to ours. Never passes on a message that might hold a key."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Permanent(
            f"there are no credentials for bucket {bucket!r}",
            code="access_denied",
            hint="put them into source.credentials, or give the services access to the bucket",
        )
    if isinstance(error, ClientError):
        code, status = str(error.response.get("Error", {}).get("Code", "")), _status(error)
        if code in _BUCKET_NOT_FOUND or (status == 404 and code in ("404", "NotFound", "")):
            return Permanent(
                f"bucket {bucket!r} does not exist at {where}",
                code="bucket_not_found",
                hint="check source.path and source.credentials.endpoint_url, or create the bucket",
            )
        if code in _WRONG_REGION:
            return Permanent(
                f"bucket {bucket!r} is in another region ({code})",
                code="wrong_region",
                hint="set source.credentials.region to the bucket's region",
            )
        if code in _ACCESS_DENIED or status in (401, 403):
            return Permanent(
                f"access to bucket {bucket!r} at {where} was denied ({code})",
                code="access_denied",
                hint="check the keys in source.credentials; they need s3:ListBucket and s3:GetObject",
            )
        if 400 <= status < 500 and status not in (408, 429):
            return Permanent(
                f"{where} refused the request for bucket {bucket!r}: {code}",
                code="storage_refused",
                hint="check source.path and source.credentials",
            )
        return Temporary(f"{where} answered {code or status} for bucket {bucket!r}", code="storage_unreachable",
                         hint="the store is overloaded or failing; the next run picks up what is left")  # fmt: skip
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
