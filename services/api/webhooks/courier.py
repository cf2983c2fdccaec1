"""Sends what is due, in every API process at once; Postgres decides who sends what (``queue.py``)."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.common import metrics
from libs.common.clock import Clock, utc_now
from libs.common.errors import AutoloaderError, Temporary
from libs.common.failpoints import failpoint
from libs.common.logs import get_logger
from libs.common.secrets import SecretBox
from libs.common.storage.engine import Database
from services.api.webhooks import queue
from services.api.webhooks.attempts import Attempt, Patience
from services.api.webhooks.sender import Sender
from services.api.webhooks.signing import signed_headers

_LEASE_SLACK = timedelta(seconds=10)
_log = get_logger(__name__)


def owner_of(webhook_id: UUID) -> str:
    """Under which name its secret is sealed."""
    return f"webhook {webhook_id}"


class Courier:
    """``open_sender`` makes what sends, for as long as ``run`` runs. ``at_once`` bounds the requests under way."""

    def __init__(
        self,
        database: Database,
        box: SecretBox,
        open_sender: Callable[[], Sender],
        patience: Patience,
        *,
        timeout: timedelta,
        at_once: int = 16,
        interval: timedelta = timedelta(seconds=1),
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._box = box
        self._open_sender = open_sender
        self._patience = patience
        self._lease = timeout + _LEASE_SLACK
        self._at_once = at_once
        self._interval = interval
        self._clock = clock
        self._random = Random()
        self._busy: set[UUID] = set()
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Looks every ``interval``, and whenever a receiver is done. Ends only by cancellation."""
        async with self._open_sender() as sender, asyncio.TaskGroup() as tasks:
            while True:
                self._freed.clear()
                for claimed in await self._claimed():
                    self._busy.add(claimed.webhook_id)
                    tasks.create_task(self._see_through(sender, claimed), name=f"delivery {claimed.id}")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval.total_seconds()):
                        await self._freed.wait()

    async def _claimed(self) -> Sequence[Row[Any]]:
        free = self._at_once - len(self._busy)
        if free == 0:
            return ()
        try:
            async with self._database.begin() as connection:
                return await queue.claim(connection, at_most=free, lease=self._lease, but_not=self._busy)
        except Temporary as error:
            _log.warning("webhooks.postponed", code=error.code, problem=error.message)
            return ()

    async def _see_through(self, sender: Sender, claimed: Row[Any]) -> None:
        """One attempt. Nothing that happens in it ends the others."""
        try:
            await self._attempt(sender, claimed)
        except AutoloaderError as error:
            # The lease ends, and the attempt is repeated.
            _log.warning("webhook.postponed", delivery_id=str(claimed.id), code=error.code, problem=error.message)
        except Exception:  # noqa: BLE001 - our bug; loud, and the other receivers are still told
            _log.exception("webhook.bug", delivery_id=str(claimed.id))
        finally:
            self._busy.discard(claimed.webhook_id)
            self._freed.set()

    async def _attempt(self, sender: Sender, claimed: Row[Any]) -> None:
        attempt = await self._sent(sender, claimed)
        failpoint("webhook.after_send")
        decision = self._patience.decide(attempt, claimed.attempts, self._random)
        async with self._database.begin() as connection:
            disabled = await queue.record(
                connection, claimed, attempt, decision, disable_after=self._patience.disable_after
            )
        metrics.WEBHOOK_ATTEMPTS.labels(outcome=decision.state).inc()
        ids = {"webhook_id": str(claimed.webhook_id), "delivery_id": str(claimed.id)}
        if attempt.is_success:
            _log.info("webhook.delivered", **ids, event_type=claimed.event_type)
        else:
            _log.warning("webhook.failed", **ids, problem=attempt.told, attempts=claimed.attempts, then=decision.state)
        if disabled is not None:
            _log.warning("webhook.disabled", **ids, problem=disabled)

    async def _sent(self, sender: Sender, claimed: Row[Any]) -> Attempt:
        try:
            secret = self._box.open(claimed.sealed, owner=owner_of(claimed.webhook_id))
        except AutoloaderError as error:
            return Attempt(error=error.message)
        headers = signed_headers(secret, str(claimed.id), self._clock(), claimed.body)
        return await sender.send(claimed.url, headers, claimed.body)
