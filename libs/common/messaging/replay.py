"""Dead letters back to where they came from, once each.

What was replayed is remembered as the committed offsets of a consumer group of its own: the offset says "everything
before me was replayed", and the metadata beside it names the later ones, because letters that are refused, or have
another code, stay behind. ``letter_of``, ``decide`` and ``Replayed`` are pure; ``list_letters`` and ``replay`` act.

The crash order: send, then remember. What if the process stops in between? At most ``_AT_ONCE`` letters are replayed a
second time. That is harmless, as handlers are idempotent; the other order would lose them.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from libs.common.errors import Permanent
from libs.common.messaging.dead_letters import SUFFIX
from libs.common.messaging.ports import Incoming, Outgoing, Partition, Publisher

_AT_ONCE = 100
_MEMORY_CHARS_MAX = 4096  # what a broker keeps beside an offset (offset.metadata.max.bytes)


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, as ``DeadLetters.set_aside`` has written it. Headers that are missing are empty."""

    message: Incoming
    origin_topic: str
    origin_partition: str
    origin_offset: str
    code: str
    reason: str
    time: str
    value_bytes: str

    @property
    def name(self) -> str:
        """``<dlq>/<partition>/<offset>``."""
        return f"{self.message.topic}/{self.message.partition}/{self.message.offset}"


def letter_of(message: Incoming) -> Letter:
    """Reads the headers."""

    def header(name: str) -> str:
        return message.headers.get(name, b"").decode("utf-8", "replace")

    return Letter(
        message,
        header("origin-topic"),
        header("origin-partition"),
        header("origin-offset"),
        header("code"),
        header("reason"),
        header("time"),
        header("value-bytes"),
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """The letter stays where it is, and this is why."""

    letter: Letter
    reason: str


def decide(letter: Letter) -> Outgoing | Refused:
    """The message to send, or why there is none."""
    if letter.value_bytes:
        kept = len(letter.message.value)
        return Refused(letter, f"only {kept} bytes of {letter.value_bytes} were kept: send it anew from its source")
    if letter.origin_topic + SUFFIX != letter.message.topic:
        where = letter.origin_topic or "unknown"
        return Refused(letter, f"its origin is {where}, and not the topic of these dead letters")
    return Outgoing(
        letter.origin_topic,
        (letter.message.key or b"").decode("utf-8", "replace"),
        letter.message.value,
        {"replayed-from": letter.name},
    )


@dataclass(frozen=True, slots=True)
class Replayed:
    """Which offsets of one partition were replayed: all before ``before``, and those in ``later``."""

    before: int = 0
    later: frozenset[int] = frozenset()

    def __contains__(self, offset: int) -> bool:
        return offset < self.before or offset in self.later

    def since(self, first: int) -> "Replayed":
        """Without what the broker does not have any more; ``first`` is the oldest offset that it has."""
        before = max(self.before, first)
        return Replayed(before, frozenset(offset for offset in self.later if offset >= before))

    def with_these(self, offsets: Iterable[int]) -> "Replayed":
        """With ``offsets`` added.

        Raises:
            Permanent: code ``replay_too_scattered``.
        """
        before, later = self.before, self.later.union(offsets)
        while before in later:
            before += 1
        grown = Replayed(before, frozenset(offset for offset in later if offset > before))
        if len(grown.metadata) > _MEMORY_CHARS_MAX:
            raise Permanent(
                "too many letters stay between those that are replayed to remember which is which",
                code="replay_too_scattered",
                hint="replay the older ones first, without a code",
            )
        return grown

    @property
    def metadata(self) -> str:
        """``later`` as text: ``7-9,12``."""
        runs: list[list[int]] = []
        for offset in sorted(self.later):
            if runs and offset == runs[-1][1] + 1:
                runs[-1][1] = offset
            else:
                runs.append([offset, offset])
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)

    @classmethod
    def parse(cls, before: int, metadata: str) -> "Replayed":
        """What ``metadata`` has written."""
        later: set[int] = set()
        for run in filter(None, metadata.split(",")):
            first, _, last = run.partition("-")
            later.update(range(int(first), int(last or first) + 1))
        return cls(before, frozenset(later))


class DeadLetterStore(Protocol):
    """Where dead letters lie, and the memory of which were replayed."""

    async def topics(self) -> Sequence[str]:
        """The dead-letter topics of this installation."""

    def letters(self, topic: str) -> AsyncIterator[Incoming]:
        """What ``topic`` holds now, in order within each partition.

        Raises:
            Permanent: code ``no_such_topic``.
            Temporary: the broker is away.
        """

    async def replayed(self, topic: str) -> Mapping[Partition, Replayed]:
        """What is remembered; partitions may be missing."""

    async def remember(self, replayed: Mapping[Partition, Replayed]) -> None:
        """Keeps it, durably, in the place of what was remembered before."""


async def list_letters(store: DeadLetterStore, topic: str) -> list[Letter]:
    """The letters of a dead-letter topic that were not replayed yet."""
    letters, replayed = await _look(store, topic)
    return [letter for letter in letters if letter.message.offset not in replayed[letter.message.source]]


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay did, or would do."""

    sent: Sequence[Letter]
    refused: Sequence[Refused]


async def replay(
    store: DeadLetterStore, publisher: Publisher, topic: str, *, code: str | None = None, dry_run: bool = False
) -> Report:
    """Sends the letters of ``topic`` (those with ``code``, or all) back to their origin, oldest first.

    Raises:
        Permanent: codes ``no_such_topic``, ``replay_too_scattered``; what was sent before is remembered.
        Temporary: the broker is away; what was sent before is remembered, but for the last 100 at most.
    """
    letters, replayed = await _look(store, topic)
    sent: list[Letter] = []
    outgoing: list[Outgoing] = []
    refused: list[Refused] = []
    for letter in letters:
        if letter.message.offset in replayed[letter.message.source] or code not in (None, letter.code):
            continue
        match decide(letter):
            case Refused() as refusal:
                refused.append(refusal)
            case Outgoing() as message:
                sent.append(letter)
                outgoing.append(message)
    if not dry_run:
        for start in range(0, len(sent), _AT_ONCE):
            chunk = slice(start, start + _AT_ONCE)
            for letter in sent[chunk]:
                source = letter.message.source
                replayed[source] = replayed[source].with_these([letter.message.offset])
            await publisher.send_many(outgoing[chunk])
            await store.remember(replayed)
    return Report(sent, refused)


async def _look(store: DeadLetterStore, topic: str) -> tuple[list[Letter], dict[Partition, Replayed]]:
    """All letters that the broker has, and which of them were replayed, for each of their partitions."""
    letters = [letter_of(message) async for message in store.letters(topic)]
    remembered = await store.replayed(topic)
    replayed: dict[Partition, Replayed] = {}
    for letter in letters:
        source = letter.message.source
        if source not in replayed:
            replayed[source] = remembered.get(source, Replayed()).since(letter.message.offset)
    return letters, replayed
