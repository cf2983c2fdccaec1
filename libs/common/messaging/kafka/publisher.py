"""Sending to Kafka: acks=all, idempotent, and known within seconds when the broker is away.

An idempotent producer never gives a message up: it would retry for ever, silently. So each send has a deadline of
our own, and a producer that missed one, or had a message refused, is thrown away: its numbering may have a hole, and
what it still holds must not be sent much later, after newer messages. A message that is stored in spite of that comes
twice; consumers deduplicate by event id.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer

from libs.common.contracts.topics import MESSAGE_BYTES_MAX
from libs.common.errors import Permanent
from libs.common.logs import get_logger
from libs.common.messaging.kafka.errors import VENDOR, to_ours
from libs.common.messaging.ports import NO_HEADERS, Outgoing

_FRAMING_BYTES = 2048  # key, headers and record framing, over the value itself
_CLOSE_S = 2.0
_ABANDON_S = 15.0  # longer than the request that an absent broker leaves unanswered
_log = get_logger(__name__)


class KafkaPublisher:
    """Publishes to one cluster. Connects at the first send; ``stop`` closes it."""

    def __init__(self, bootstrap: str, client_id: str, *, timeout_s: float = 10) -> None:
        """``timeout_s``: after this long a send fails with ``Temporary``."""
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connects now rather than at the first send, so that a wrong address is known at start.

        Raises:
            Temporary: code ``kafka_unavailable``.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connected()
        except VENDOR as error:
            raise to_ours(error, f"connecting to {self._bootstrap}") from error

    async def stop(self) -> None:
        """Closes the connections. May be called twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)
        if self._closing:
            await asyncio.wait(self._closing, timeout=_CLOSE_S)

    async def send(self, topic: str, *, key: str, value: bytes, headers: Mapping[str, str] = NO_HEADERS) -> None:
        await self.send_many([Outgoing(topic, key, value, headers)])

    async def send_many(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if len(message.value) > MESSAGE_BYTES_MAX - _FRAMING_BYTES:
                raise Permanent(
                    f"a message for {message.topic} with key {message.key} has {len(message.value)} bytes, "
                    f"more than {MESSAGE_BYTES_MAX - _FRAMING_BYTES}",
                    code="message_too_large",
                    hint="messages carry ids and counts; lists belong into the ledger",
                )
        producer: AIOKafkaProducer | None = None
        acks: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._connected()
                # One after another into the producer's queues, which keeps each key's order; then all acks at once.
                for message in messages:
                    acks.append(  # noqa: PERF401 - if one fails, the earlier ones must be known
                        await producer.send(
                            message.topic,
                            key=message.key.encode(),
                            value=message.value,
                            headers=[(name, text.encode()) for name, text in message.headers.items()],
                        )
                    )
                await asyncio.gather(*acks)
        except VENDOR as error:
            ours = to_ours(error, f"sending to {', '.join(sorted({m.topic for m in messages}))}")
            if producer is not None:  # also after a refusal for good: it has counted what the broker has not taken
                self._discard(producer)
            raise ours from error
        finally:
            for ack in acks:
                ack.cancel()  # those left behind: nobody will read their errors

    async def _connected(self) -> AIOKafkaProducer:
        """The producer, connected."""
        if self._producer is not None:
            return self._producer
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=int(self._timeout_s * 1000),
                    max_request_size=MESSAGE_BYTES_MAX,
                    max_batch_size=256 * 1024,  # the relay sends hundreds at once; the default would cut them small
                    metadata_max_age_ms=10_000,
                    retry_backoff_ms=50,
                )
                try:
                    await producer.start()
                except BaseException:
                    await _abandon(producer)
                    raise
                self._producer = producer
        return self._producer

    def _discard(self, producer: AIOKafkaProducer) -> None:
        """The next send begins with a new producer."""
        if self._producer is producer:
            self._producer = None
            _log.info("kafka.producer_discarded", client_id=self._client_id)
            task = asyncio.create_task(_abandon(producer))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close(producer: AIOKafkaProducer) -> None:
    """Closes politely for a moment (what is queued goes out), then by force."""
    with suppress(*VENDOR):
        async with asyncio.timeout(_CLOSE_S):
            await producer.stop()
        return
    await _abandon(producer)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Closes without sending what is queued. aiokafka has no public way: its ``stop`` waits for messages that an
    absent broker will never take."""
    producer._closed = True  # noqa: SLF001
    sender = producer._sender.sender_task  # noqa: SLF001
    if sender is not None:
        sender.cancel()  # it waits for the request that is under way, and begins no other
        await asyncio.wait((sender,), timeout=_ABANDON_S)
    with suppress(*VENDOR):
        async with asyncio.timeout(_CLOSE_S):
            await producer.client.close()
