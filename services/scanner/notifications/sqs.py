"""Queues of Amazon SQS, through aioboto3."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from libs.common.contracts.definition import Credentials
from libs.common.errors import AutoloaderError, Permanent, Temporary
from services.scanner.ports import Delivery

MESSAGES_AT_ONCE = 10
"""What SQS hands out in one answer, and takes in one request, at most."""
_WAIT_S_MAX = 20  # as SQS allows
_RECEIVES = "ApproximateReceiveCount"
_NOT_FOUND = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue")
_BOTOCORES = (BotoCoreError, ClientError, ResponseParserError, OSError, TimeoutError, ValueError, KeyError)


class SqsQueue:
    """A ``Queue``. ``access`` None means the environment's own chain (profile, instance role). Close it when the
    process ends."""

    def __init__(
        self, url: str, *, region: str, endpoint_url: str | None = None, access: Credentials | None = None
    ) -> None:
        self._url = url
        self._arguments: dict[str, Any] = {"region_name": region_of(url) or region, "endpoint_url": endpoint_url}
        if access is not None:
            self._arguments["aws_access_key_id"] = access.aws_access_key_id
            self._arguments["aws_secret_access_key"] = access.aws_secret_access_key
        self._client: Any = None
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    @property
    def name(self) -> str:
        return self._url.rstrip("/").rsplit("/", 1)[-1]

    async def close(self) -> None:
        self._client = None
        await self._stack.aclose()

    async def receive(self, *, wait: timedelta, hold: timedelta) -> Sequence[Delivery]:
        with self._translated():
            client = await self._opened()
            answer = await client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MESSAGES_AT_ONCE,
                WaitTimeSeconds=min(_WAIT_S_MAX, round(wait.total_seconds())),
                VisibilityTimeout=_seconds(hold),
                MessageSystemAttributeNames=[_RECEIVES],
            )
            return [_delivery(message) for message in answer.get("Messages", ())]

    async def hold(self, deliveries: Sequence[Delivery], hold: timedelta) -> None:
        with self._translated():
            client = await self._opened()
            for entries in _entries(deliveries):
                held = [{**entry, "VisibilityTimeout": _seconds(hold)} for entry in entries]
                await client.change_message_visibility_batch(QueueUrl=self._url, Entries=held)

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        with self._translated():
            client = await self._opened()
            for entries in _entries(deliveries):
                await client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    async def _opened(self) -> Any:
        async with self._opening:
            if self._client is None:
                config = Config(
                    connect_timeout=3,
                    read_timeout=_WAIT_S_MAX + 10,
                    retries={"mode": "standard", "max_attempts": 2},
                    max_pool_connections=50,
                )
                client = aioboto3.Session().client("sqs", config=config, **self._arguments)
                self._client = await self._stack.enter_async_context(client)
            return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _BOTOCORES as e:
            raise _translate(e, self._url) from e


def region_of(url: str) -> str | None:
    """The region that an address of Amazon's names; None of any other."""
    found = re.fullmatch(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", urlsplit(url).hostname or "")
    return found[1] if found else None


def _delivery(message: Any) -> Delivery:
    times = int(message.get("Attributes", {}).get(_RECEIVES, 1))
    return Delivery(message["MessageId"], message["Body"].encode("utf-8", "replace"), times, message["ReceiptHandle"])


def _entries(deliveries: Sequence[Delivery]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(deliveries), MESSAGES_AT_ONCE):
        part = deliveries[start : start + MESSAGES_AT_ONCE]
        yield [{"Id": str(n), "ReceiptHandle": delivery.receipt} for n, delivery in enumerate(part)]


def _seconds(hold: timedelta) -> int:
    """SQS counts whole seconds; of a pause that is shorter than one, one is left."""
    return 0 if hold <= timedelta() else max(1, round(hold.total_seconds()))


def _translate(error: BaseException, url: str) -> AutoloaderError:
    """The border: from botocore's words to ours. Never passes on a message that might hold a key."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Permanent(
            f"there are no credentials for queue {url}",
            code="access_denied",
            hint="give the scanner a role, or set AUTOLOADER_SQS_ACCESS_KEY_ID and AUTOLOADER_SQS_SECRET_ACCESS_KEY",
        )
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _NOT_FOUND:
            return Permanent(
                f"queue {url} does not exist",
                code="queue_not_found",
                hint="check AUTOLOADER_SQS_QUEUES and AUTOLOADER_SQS_REGION, or make the queue: autoloader "
                "notifications setup prints how",
            )
        if status in (401, 403) or "Denied" in code:
            return Permanent(
                f"access to queue {url} was denied ({code})",
                code="access_denied",
                hint="the scanner needs sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility",
            )
        if 400 <= status < 500 and status not in (408, 429) and "Throttl" not in code:
            return Permanent(
                f"queue {url} refused the request: {code}", code="queue_refused", hint="check AUTOLOADER_SQS_QUEUES"
            )
        return Temporary(f"queue {url} answered {code or status}", code="queue_unreachable")
    if isinstance(error, BotoConnectionError | HTTPClientError | OSError | TimeoutError):
        return Temporary(
            f"queue {url} cannot be reached ({type(error).__name__})",
            code="queue_unreachable",
            hint="check AUTOLOADER_SQS_QUEUES, AUTOLOADER_SQS_ENDPOINT_URL and the network",
        )
    return Permanent(
        f"queue {url} cannot be used: {type(error).__name__}",
        code="queue_refused",
        hint="check AUTOLOADER_SQS_QUEUES, AUTOLOADER_SQS_ENDPOINT_URL and AUTOLOADER_SQS_REGION",
    )
