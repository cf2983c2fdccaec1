"""Messages that cannot be handled are kept, with where they came from and why, in ``<topic>.dlq``.

A limit guards against ourselves: when a bad release refuses everything, the consumer must stop and say so
instead of diverting the whole topic.
"""

from collections import deque

from libs.common import metrics
from libs.common.clock import Clock, utc_now
from libs.common.contracts.topics import MESSAGE_BYTES_MAX
from libs.common.errors import Permanent
from libs.common.logs import get_logger
from libs.common.messaging.ports import Incoming, Publisher

SUFFIX = ".dlq"
_REASON_CHARS_MAX = 1000
_VALUE_BYTES_MAX = MESSAGE_BYTES_MAX - 16 * 1024  # leaves room for headers and framing
_log = get_logger(__name__)


class DeadLetterLimit:
    """Counts the latest messages and says when too many of them were set aside. Pure.

    ``share`` of the last ``window`` messages may be dead letters; below ``allowance`` dead letters nothing is
    concluded, because a handful of poison in a quiet topic proves nothing.
    """

    def __init__(self, *, share: float = 0.25, window: int = 1000, allowance: int = 100) -> None:
        self._share = share
        self._allowance = allowance
        self._latest: deque[bool] = deque(maxlen=window)
        self._dead = 0

    def count(self, *, set_aside: bool) -> None:
        if len(self._latest) == self._latest.maxlen and self._latest[0]:
            self._dead -= 1
        self._latest.append(set_aside)
        self._dead += set_aside

    @property
    def exceeded(self) -> bool:
        return self._dead > self._allowance and self._dead > self._share * len(self._latest)

    def describe(self) -> str:
        return f"{self._dead} of the last {len(self._latest)} messages"


class DeadLetters:
    """Where a consumer puts what it cannot handle."""

    def __init__(self, publisher: Publisher, *, limit: DeadLetterLimit | None = None, clock: Clock = utc_now) -> None:
        self._publisher = publisher
        self._limit = limit or DeadLetterLimit()
        self._clock = clock

    def count_handled(self) -> None:
        """A message went well."""
        self._limit.count(set_aside=False)

    async def set_aside(self, message: Incoming, *, code: str, reason: str, attempt: int) -> None:
        """Keeps ``message``; returns when the broker has it.

        Raises:
            Permanent: code ``too_many_dead_letters``: this one was not set aside; the consumer must stop.
            Temporary: the broker is away; try again.
        """
        if self._limit.exceeded:
            raise Permanent(
                f"{self._limit.describe()} on {message.topic} could not be handled; the latest: {code}: {reason}",
                code="too_many_dead_letters",
                hint=f"look at {message.topic}{SUFFIX}; if a release broke the consumer, go back and restart it",
            )
        value = message.value[:_VALUE_BYTES_MAX]
        await self._publisher.send(
            message.topic + SUFFIX,
            key=(message.key or b"").decode("utf-8", "replace"),
            value=value,
            headers={
                "origin-topic": message.topic,
                "origin-partition": str(message.partition),
                "origin-offset": str(message.offset),
                "code": code,
                "reason": " ".join(reason.split())[:_REASON_CHARS_MAX],
                "attempt": str(attempt),
                "time": self._clock().isoformat(),
                **({"value-bytes": str(len(message.value))} if len(value) < len(message.value) else {}),
            },
        )
        self._limit.count(set_aside=True)
        metrics.DEAD_LETTERS.labels(topic=message.topic, code=code).inc()
        _log.warning(
            "message.set_aside",
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            code=code,
            reason=reason[:_REASON_CHARS_MAX],
            attempt=attempt,
        )
