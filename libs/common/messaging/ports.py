"""What the rest of the system knows about a broker: send, and be woken.

Two implementations keep these promises: ``messaging.kafka`` and the tests' memory broker.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple, Protocol

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as the broker has it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def source(self) -> Partition:
        return Partition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way. Messages with one key keep their order."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Publisher(Protocol):
    """Hands messages to the broker. At least once: a failure may still have been stored."""

    async def send(self, topic: str, *, key: str, value: bytes, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Returns when the broker has the message on all its replicas.

        Raises:
            Temporary: code ``kafka_unavailable`` or ``kafka_topic_missing``, within seconds.
            Permanent: code ``message_too_large`` or ``kafka_forbidden``.
        """

    async def send_many(self, messages: Sequence[Outgoing]) -> None:
        """Returns when the broker has all of them; the order of each key is the order given.

        Raises:
            Temporary, Permanent: as ``send``. Some of the messages may have been stored all the same; but if one is
                too large, none was.
        """


class AssignmentListener(Protocol):
    """Who must know that partitions came or went."""

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Called before the group hands the partitions on; a commit in here still counts."""

    def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Called before the first message of the new partitions is polled."""


class Consumer(Protocol):
    """One member of a consumer group. Offsets move only by ``commit``."""

    async def start(self, listener: AssignmentListener) -> None:
        """Joins the group. May be called again after ``stop``.

        Raises:
            Temporary: the broker is away or a topic is missing.
        """

    async def stop(self) -> None:
        """Leaves the group, so that others need not wait for a timeout; a static member keeps its partitions for its
        successor. May be called twice."""

    async def poll(self, wait: timedelta, max_messages: int) -> Sequence[Incoming]:
        """Messages of the partitions that are not paused; empty after ``wait``. Keeps the membership alive.

        Raises:
            Temporary: the membership is beyond repair; ``stop`` and ``start`` again.
            Permanent: code ``kafka_member_fenced``: another process has joined under our static name.
        """

    def pause(self, partitions: Collection[Partition]) -> None:
        """Their messages wait at the broker. Partitions that are not ours any more are ignored."""

    def resume(self, partitions: Collection[Partition]) -> None:
        """Undoes ``pause``."""

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """After a restart the group goes on from these offsets (the next to read, not the last one read).

        Raises:
            Temporary: not committed; the messages may come again.
        """
