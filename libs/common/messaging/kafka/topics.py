"""Creating the catalogue's topics, and asking whether the broker is there."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from libs.common.contracts.topics import DEFAULT_PREFIX, MESSAGE_BYTES_MAX, Topic
from libs.common.errors import Temporary
from libs.common.logs import get_logger
from libs.common.messaging.kafka.errors import VENDOR, translated

_VISIBLE_S = 10.0
_RETRY_S = 2.0
_DEAD_LETTER_RETENTION_DAYS = 30
_DAY_MS = 24 * 60 * 60 * 1000
_COMPACTED = {
    # Both: of each key the latest message, and none that is older than the retention.
    "cleanup.policy": "compact,delete",
    # Only closed segments are compacted; with the default of a week, late readers would read a week's every change.
    "segment.ms": str(60 * 60 * 1000),
    "min.cleanable.dirty.ratio": "0.1",
}
_log = get_logger(__name__)


async def ensure_topics(
    bootstrap: str,
    catalogue: Iterable[Topic],
    prefix: str = DEFAULT_PREFIX,
    replication_factor: int = 1,
    *,
    timeout_s: float = 15,
) -> None:
    """Creates the topics and their dead-letter topics that do not exist yet, and waits until all can be used.

    Several processes may do this at once. Existing topics are left as they are.

    Raises:
        Temporary: code ``kafka_unavailable``.
        Permanent: code ``kafka_forbidden``.
    """
    wanted = [new for topic in catalogue for new in _new_topics(topic, prefix, replication_factor)]
    names = [new.name for new in wanted]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_s * 1000))
    with translated(f"creating the topics of {prefix} at {bootstrap}"):
        try:
            async with asyncio.timeout(timeout_s):
                await admin.start()
                present = set(await admin.list_topics())
                missing = [new for new in wanted if new.name not in present]
                if missing:
                    response = await admin.create_topics(missing, timeout_ms=int(timeout_s * 1000))
                    for name, code, *detail in response.topic_errors:
                        error = for_code(code)
                        if code and error is not TopicAlreadyExistsError:  # somebody else was faster: just as good
                            raise error(f"{name}: {' '.join(str(d) for d in detail if d)}")
                    _log.info("kafka.topics_created", topics=[new.name for new in missing])
                await _until_visible(admin, names)
        finally:
            with suppress(*VENDOR):
                await admin.close()


async def keep_topics(
    bootstrap: str,
    catalogue: Sequence[Topic],
    prefix: str = DEFAULT_PREFIX,
    replication_factor: int = 1,
    *,
    interval: timedelta = timedelta(seconds=5),
) -> None:
    """Creates the topics as soon as Kafka is there, and again whenever one is found missing: somebody may delete one
    while the services run, and would stop them for ever. Looks once per ``interval``; ends only by cancellation.

    Raises:
        Permanent: code ``kafka_forbidden``.
    """
    while True:
        pause_s = interval.total_seconds()
        try:
            await ensure_topics(bootstrap, catalogue, prefix, replication_factor)
        except Temporary as error:
            _log.warning("topics.waiting", code=error.code, problem=error.message)
            pause_s = _RETRY_S
        await asyncio.sleep(pause_s)


async def ping(bootstrap: str, timeout_s: float = 2) -> None:
    """Returns if a broker answers.

    Raises:
        Temporary: code ``kafka_unavailable``, after ``timeout_s`` at the latest.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_s * 1000))
    with translated(f"asking {bootstrap} for its topics"):
        try:
            async with asyncio.timeout(timeout_s):
                await admin.start()
        finally:
            with suppress(*VENDOR):
                await admin.close()


def _new_topics(topic: Topic, prefix: str, replication_factor: int) -> list[NewTopic]:
    durable = {
        "min.insync.replicas": str(max(1, replication_factor - 1)),
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
        "cleanup.policy": "delete",
        # By the broker's clock: it refuses messages from an hour ahead of it, and one machine's wrong clock would hold
        # up everybody's outbox whenever it is its turn to send.
        "message.timestamp.type": "LogAppendTime",
    }
    retention_ms = int(topic.retention.total_seconds() * 1000)
    compacted = _COMPACTED if topic.is_compacted else {}
    return [
        NewTopic(
            topic.name(prefix),
            topic.partitions,
            replication_factor,
            topic_configs={**durable, "retention.ms": str(retention_ms), **compacted},
        ),
        NewTopic(
            topic.dead_letter_name(prefix),
            1,
            replication_factor,
            topic_configs={**durable, "retention.ms": str(_DEAD_LETTER_RETENTION_DAYS * _DAY_MS)},
        ),
    ]


async def _until_visible(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """A created topic is not usable before each partition has a leader."""
    deadline = asyncio.get_running_loop().time() + _VISIBLE_S
    while True:
        topics = await admin.describe_topics(names)
        waiting = {
            topic["topic"]
            for topic in topics
            if topic["error_code"] or any(p["error_code"] or p["leader"] < 0 for p in topic["partitions"])
        }
        if not waiting:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise Temporary(f"topics have no leader: {', '.join(sorted(waiting))}", code="kafka_unavailable")
        await asyncio.sleep(0.05)
