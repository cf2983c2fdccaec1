"""Passes deliveries on. What they say is not our concern here: a scanner reads them, as it reads what buckets put on
the topic by themselves, and sets aside what it cannot read."""

import hashlib
import json

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException

from libs.common import metrics
from libs.common.contracts.topics import FOREIGN_BYTES_MAX, S3_NOTIFICATIONS
from libs.common.errors import Invalid, Rejected
from libs.common.failpoints import failpoint
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.caller import Caller
from services.api.idempotency import Answer, Once, at_most_once
from services.api.notifications.schemas import NotificationsAccepted


class Deliveries:
    """Of one process."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def accept(self, caller: Caller, body: bytes, once: Once | None) -> Answer:
        """When it returns, what was delivered is stored. Taking it twice is harmless: it is a hint.

        Raises:
            Rejected: 400, it is no JSON. Invalid: code ``not_a_notification``, it is no JSON object.
            HTTPException: 413, it is larger than what the topic takes.
        """
        try:
            _check(body)
        except (Rejected, HTTPException):
            metrics.HTTP_NOTIFICATIONS.labels(outcome="unreadable").inc()
            raise
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            accepted = await at_most_once(connection, caller, once, lambda: self._pass_on(connection, body))
        failpoint("api.after_tx")
        metrics.HTTP_NOTIFICATIONS.labels(outcome="accepted").inc()
        return accepted

    async def _pass_on(self, connection: AsyncConnection, body: bytes) -> Answer:
        key = hashlib.sha256(body).hexdigest()
        await self._outbox.enqueue_foreign(connection, S3_NOTIFICATIONS, key=key, value=body)
        return Answer(202, NotificationsAccepted().model_dump())


def _check(body: bytes) -> None:
    if len(body) > FOREIGN_BYTES_MAX:
        raise HTTPException(413, f"the body is larger than {FOREIGN_BYTES_MAX} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise Rejected("the body is no JSON", code="bad_request", hint="send one JSON object, encoded in UTF-8") from e
    if not isinstance(document, dict):
        raise Invalid(
            "the body is no JSON object",
            code="not_a_notification",
            hint="send what S3, MinIO or Ceph say, or EventBridge",
        )
