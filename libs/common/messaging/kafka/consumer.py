"""One member of a Kafka consumer group.

aiokafka's defaults are all wrong for us: auto commit on, reset to latest, acks=1. Fetches wait at the broker for a
short time only, because a partition that is resumed, or was just read, joins the next fetch and not the current one.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from libs.common.contracts.topics import MESSAGE_BYTES_MAX
from libs.common.errors import Permanent, Temporary
from libs.common.messaging.kafka.errors import VENDOR, to_ours, translated
from libs.common.messaging.ports import AssignmentListener, Incoming, Partition

_COMMIT_S = 5.0
_STOP_S = 5.0
_STUCK_S = 5.0
_FETCH_WAIT_MS = 50


class KafkaConsumer:
    """Reads ``topics`` as a member of ``group_id``."""

    def __init__(
        self,
        bootstrap: str,
        group_id: str,
        topics: Sequence[str],
        client_id: str,
        group_instance_id: str | None = None,
    ) -> None:
        """``group_instance_id``: keeps the same partitions over a restart (static membership)."""
        self._bootstrap = bootstrap
        self._group_id = group_id
        self._topics = tuple(topics)
        self._client_id = client_id
        self._group_instance_id = group_instance_id
        self._consumer: AIOKafkaConsumer | None = None
        self._committing: asyncio.Task[None] | None = None

    async def start(self, listener: AssignmentListener) -> None:
        await self.stop()
        self._consumer = consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._group_id,
            client_id=self._client_id,
            group_instance_id=self._group_instance_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=2 * MESSAGE_BYTES_MAX,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,  # members learn of a rebalance from a heartbeat: joins take no longer
            max_poll_interval_ms=300_000,
            request_timeout_ms=15_000,  # longer than a rebalance, which the join request waits for
            metadata_max_age_ms=10_000,  # a topic that is made anew is noticed
        )
        consumer.subscribe(self._topics, listener=_Rebalances(listener))
        try:
            with translated(f"joining group {self._group_id}"):
                await consumer.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _close(consumer)

    async def poll(self, wait: timedelta, max_messages: int) -> Sequence[Incoming]:
        consumer = self._running()
        try:
            # getmany() ends by itself, but not while the group rebalances. A cancelled call loses no record:
            # records are taken from its buffer and returned without an await in between.
            async with asyncio.timeout(wait.total_seconds() + _STUCK_S):
                batches = await consumer.getmany(timeout_ms=int(wait.total_seconds() * 1000), max_records=max_messages)
        except TimeoutError:
            return ()
        except VENDOR as error:
            ours = to_ours(error, f"reading {', '.join(self._topics)}")
            # Even missing rights are waited for: an administrator may give them back, and the loop says what is wrong.
            raise Temporary(ours.message, code=ours.code, hint=ours.hint) from error
        return [
            Incoming(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                key=record.key,
                value=record.value or b"",
                headers=dict(record.headers),
            )
            for records in batches.values()
            for record in records
        ]

    def pause(self, partitions: Collection[Partition]) -> None:
        consumer = self._running()
        consumer.pause(*(_theirs(p) for p in partitions if _theirs(p) in consumer.assignment()))

    def resume(self, partitions: Collection[Partition]) -> None:
        consumer = self._running()
        consumer.resume(*(_theirs(p) for p in partitions if _theirs(p) in consumer.assignment()))

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        # aiokafka tries for ever. We stop waiting in time, but let it go on, since a commit cannot be called back;
        # and there is only one at a time, so that an old one never ends after a newer one.
        until = time.monotonic() + _COMMIT_S
        try:
            with translated(f"committing offsets of group {self._group_id}"):
                await self._end_of_commit(until)
                commit = self._running().commit({_theirs(p): offset for p, offset in offsets.items()})
                self._committing = asyncio.create_task(commit)
                await self._end_of_commit(until)
        except Permanent as error:
            raise Temporary(error.message, code=error.code, hint=error.hint) from error

    async def _end_of_commit(self, until: float) -> None:
        """Waits for the commit that is under way, if any; raises what it raised."""
        if self._committing is not None:
            await asyncio.wait((self._committing,), timeout=max(0.0, until - time.monotonic()))
            if not self._committing.done():
                raise TimeoutError
            ended, self._committing = self._committing, None
            ended.result()

    def _running(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Temporary(f"not a member of group {self._group_id}", code="kafka_unavailable")
        return self._consumer


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells our listener what aiokafka tells."""

    def __init__(self, listener: AssignmentListener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._listener.on_revoked([_ours(tp) for tp in revoked])

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if assigned:
            self._listener.on_assigned([_ours(tp) for tp in assigned])


def _ours(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)


def _theirs(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)


async def _close(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group and closes the connections, within a deadline.

    In a task of its own: while the broker is away, aiokafka's ``stop`` may end with the cancellation of one of its
    own tasks, which must not be taken for ours; it then leaves its connections open.
    """
    stop = asyncio.create_task(consumer.stop())
    await asyncio.wait((stop,), timeout=_STOP_S)
    clean = stop.done() and not stop.cancelled() and stop.exception() is None
    if not clean:
        stop.cancel()
        await asyncio.gather(stop, return_exceptions=True)
        with suppress(*VENDOR):
            async with asyncio.timeout(_STOP_S):
                await consumer._client.close()  # noqa: SLF001 - aiokafka has no public way
