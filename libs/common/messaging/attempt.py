"""One attempt at one message: decode it, hand it to its handler, and tell what came of it.

Writes the one log line and the metrics of the attempt. Knows no offsets and no order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from libs.common import metrics
from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import Message
from libs.common.errors import Fenced, Temporary
from libs.common.logs import get_logger
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.messaging.outcome import Done, Outcome, RetryLater, SetAside, is_bug, outcome_of
from libs.common.messaging.ports import Incoming

Handler = Callable[[Envelope], Awaitable[None]]

_log = get_logger(__name__)


class Attempts:
    """The handlers of one consumer."""

    def __init__(
        self,
        handlers: Mapping[type[Message], Handler],
        dead_letters: DeadLetters,
        decode: Callable[[bytes], Envelope],
    ) -> None:
        self._handlers = handlers
        self._dead_letters = dead_letters
        self._decode = decode

    async def attempt(self, message: Incoming, number: int) -> Done | RetryLater:
        """The ``number``-th try, from 1. ``Done``: the effect, or the dead letter, is durable.

        Raises:
            Permanent: code ``too_many_dead_letters``; the message is neither handled nor set aside.
        """
        began = time.monotonic()
        label, error = await self._handle(message)
        outcome: Outcome = Done() if error is None else outcome_of(error, number)
        if isinstance(outcome, SetAside):
            try:
                await self._dead_letters.set_aside(message, code=outcome.code, reason=outcome.reason, attempt=number)
                label, outcome = "set_aside", Done()
            except Temporary as e:  # the broker is away; the handler runs again, its effects are idempotent
                outcome = outcome_of(e, number)
                assert not isinstance(outcome, SetAside)
        elif isinstance(outcome, Done):
            self._dead_letters.count_handled()
        _report(message, number, outcome, label, error, time.monotonic() - began)
        return outcome

    async def _handle(self, message: Incoming) -> tuple[str, Exception | None]:
        """A word for the metrics, and what was raised."""
        try:
            envelope = self._decode(message.value)
            handler = self._handlers.get(type(envelope.message))
            if handler is None:
                return "ignored", None
            await handler(envelope)
        except Fenced as error:
            return "fenced", error
        except Exception as error:  # noqa: BLE001 - the one place where every error becomes an outcome
            return "failed", error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # it is us who are being stopped
            return "failed", RuntimeError(f"the handler let a cancellation escape: {error!r}")
        return "done", None


def _report(
    message: Incoming, number: int, outcome: Done | RetryLater, label: str, error: Exception | None, seconds: float
) -> None:
    bug = error is not None and is_bug(error)
    fields = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "attempt": number,
        "duration_ms": round(seconds * 1000, 1),
    }
    metrics.MESSAGE_SECONDS.labels(topic=message.topic).observe(seconds)
    if bug:
        _log.error("message.bug", exc_info=error, **fields)
    match outcome:
        case RetryLater(after):
            metrics.MESSAGE_RETRIES.labels(topic=message.topic, kind="bug" if bug else "temporary").inc()
            _log.warning("message.retry", problem=str(error), retry_s=after.total_seconds(), **fields)
        case Done():
            metrics.MESSAGES_HANDLED.labels(topic=message.topic, outcome=label).inc()
            problem = {} if error is None else {"problem": str(error)}
            level = _log.info if label == "fenced" else _log.debug
            level("message.handled", outcome=label, **problem, **fields)
