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
from aiokafka.protocol.group import SyncGroupRequest

from libs.common.contracts.topics import MESSAGE_BYTES_MAX
from libs.common.errors import Permanent, Temporary
from libs.common.logs import get_logger
from libs.common.messaging.kafka.errors import VENDOR, to_ours, translated
from libs.common.messaging.ports import AssignmentListener, Incoming, Partition

_COMMIT_S = 5.0
_STOP_S = 5.0
_STUCK_S = 5.0
_FETCH_WAIT_MS = 50
_SESSION_S = 10
_STATIC_SESSION_S = 45  # a static member's partitions wait for it this long: a restart must fit in
_FENCED_INSTANCE_ID = 82  # Kafka's error code; aiokafka has no name for it
_log = get_logger(__name__)


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
        """``group_instance_id``: a name that no other member of the group has, and that outlives the process (static
        membership). A member with such a name does not leave the group when it stops: it, or its successor, gets the
        same partitions back without a rebalance if it returns within 45 seconds; after that they go to the others.
        """
        self._bootstrap = bootstrap
        self._group_id = group_id
        self._topics = tuple(topics)
        self._client_id = client_id
        self._group_instance_id = group_instance_id
        self._consumer: AIOKafkaConsumer | None = None
        self._static: _StaticMember | None = None
        self._committing: asyncio.Task[None] | None = None
        self._one_commit = asyncio.Lock()

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
            session_timeout_ms=1000 * (_SESSION_S if self._group_instance_id is None else _STATIC_SESSION_S),
            heartbeat_interval_ms=1_000,  # members learn of a rebalance from a heartbeat: joins take no longer
            max_poll_interval_ms=300_000,
            request_timeout_ms=15_000,  # longer than a rebalance, which the join request waits for
            metadata_max_age_ms=10_000,  # a topic that is made anew is noticed
        )
        self._static = None
        if self._group_instance_id is not None:
            self._static = _StaticMember(consumer, self._group_id, self._group_instance_id)
        consumer.subscribe(self._topics, listener=_Rebalances(listener, self._static))
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
        except asyncio.CancelledError:
            if self._static is not None and self._static.fenced is not None:
                raise self._static.fenced from None
            raise
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
        # and there is only one at a time, so that an old one never ends after a newer one. A rebalance may commit
        # while the loop does: it waits for its turn.
        until = time.monotonic() + _COMMIT_S
        try:
            with translated(f"committing offsets of group {self._group_id}"):
                async with asyncio.timeout(_COMMIT_S):
                    await self._one_commit.acquire()
                try:
                    await self._end_of_commit(until)
                    commit = self._running().commit({_theirs(p): offset for p, offset in offsets.items()})
                    self._committing = asyncio.create_task(commit)
                    await self._end_of_commit(until)
                finally:
                    self._one_commit.release()
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


class _StaticMember:
    """Notices when another process has joined the group under our static name.

    aiokafka does not: told that nobody knows it any more, it joins again and throws the other one out, which then does
    the same, for ever. So before each return to the group we ask under our old identity, and stay away if it is taken.
    """

    def __init__(self, consumer: AIOKafkaConsumer, group_id: str, name: str) -> None:
        self.fenced: Permanent | None = None
        self._consumer = consumer
        self._group_id = group_id
        self._name = name
        self._joined_as: tuple[int, str] | None = None

    def joined(self) -> None:
        """We are a member now: of this generation, under this id."""
        coordinator = self._consumer._coordinator  # noqa: SLF001 - aiokafka has no public way
        self._joined_as = (coordinator.generation, coordinator.member_id)

    async def before_return(self) -> None:
        """Returns if nobody else has our name. If somebody has, ends aiokafka's coordination by a cancellation (the one
        thing that it obeys here), and leaves the reason in ``fenced``."""
        if self._joined_as is None:
            return
        question = SyncGroupRequest(self._group_id, *self._joined_as, self._name, [])
        try:
            answer = await self._consumer._coordinator._send_req(question)  # noqa: SLF001
        except VENDOR as error:
            # If we have a rival after all, it is fenced instead: one of us two ends, and that is what matters.
            _log.info("consumer.identity_unknown", group=self._group_id, problem=str(error))
            return
        if answer.error_code == _FENCED_INSTANCE_ID:
            self.fenced = Permanent(
                f"another process has joined group {self._group_id} as {self._name}",
                code="kafka_member_fenced",
                hint="give each replica its own AUTOLOADER_KAFKA_STATIC_MEMBER; if this one was only slow to end, "
                "nothing is to be done: the other one has taken over",
            )
            raise asyncio.CancelledError


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells our listener what aiokafka tells."""

    def __init__(self, listener: AssignmentListener, static: _StaticMember | None) -> None:
        self._listener = listener
        self._static = static

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if self._static is not None:
            await self._static.before_return()
        if revoked:
            await self._listener.on_revoked([_ours(tp) for tp in revoked])

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if self._static is not None:
            self._static.joined()
        if assigned:
            self._listener.on_assigned([_ours(tp) for tp in assigned])


def _ours(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)


def _theirs(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)


async def _close(consumer: AIOKafkaConsumer) -> None:
    """Leaves the group (a static member stays in it) and closes the connections, within a deadline.

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
