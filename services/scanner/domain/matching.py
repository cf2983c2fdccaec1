"""Which ingestions an object concerns, among thousands. Pure.

A path is a folder, so the prefixes under which a key can lie are its own folders: they are looked up, however many
ingestions there are. Under one prefix, each pattern is tried once, for whoever shares it, and only if the fixed
characters that it begins with are those that the key (or the name) begins with; these are looked up, too.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from libs.common.contracts.definition import Source
from libs.common.ids import IngestionId
from libs.common.selection.pattern import Pattern, outlines

Place = tuple[str, str]
"""A bucket and a prefix."""


@dataclass(frozen=True, slots=True)
class _Known:
    """One pattern under one prefix, and whose it is."""

    pattern: Pattern
    heads: frozenset[str]
    ids: set[IngestionId] = field(default_factory=set)


class _ByHead:
    """Patterns by the fixed characters that they begin with. All of them are matched with the same part of a key."""

    def __init__(self) -> None:
        self._texts: defaultdict[str, set[str]] = defaultdict(set)
        self._lengths: Counter[int] = Counter()

    def put(self, text: str, heads: frozenset[str]) -> None:
        for head in heads:
            self._texts[head].add(text)
            self._lengths[len(head)] += 1

    def remove(self, text: str, heads: frozenset[str]) -> None:
        for head in heads:
            self._texts[head].discard(text)
            if not self._texts[head]:
                del self._texts[head]
            self._lengths[len(head)] -= 1
            if not self._lengths[len(head)]:
                del self._lengths[len(head)]

    def that_begin_as(self, part: str) -> set[str]:
        return {text for length in self._lengths for text in self._texts.get(part[:length], ())}


class _Here:
    """Who looks at one prefix, by pattern."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._of_keys, self._of_names = _ByHead(), _ByHead()

    @property
    def is_empty(self) -> bool:
        return not self._known

    def put(self, text: str, ingestion_id: IngestionId) -> None:
        known = self._known.get(text)
        if known is None:
            known = _Known(Pattern(text), _heads(text))
            self._known[text] = known
            self._matched_with(text).put(text, known.heads)
        known.ids.add(ingestion_id)

    def remove(self, text: str, ingestion_id: IngestionId) -> None:
        known = self._known[text]
        known.ids.discard(ingestion_id)
        if not known.ids:
            del self._known[text]
            self._matched_with(text).remove(text, known.heads)

    def matches(self, key: str, prefix: str) -> Iterator[set[IngestionId]]:
        below = key[len(prefix) :]
        candidates = self._of_keys.that_begin_as(below) | self._of_names.that_begin_as(below.rsplit("/", 1)[-1])
        for text in candidates:
            known = self._known[text]
            if known.pattern.matches(key, prefix):
                yield known.ids

    def _matched_with(self, text: str) -> _ByHead:
        return self._of_keys if "/" in text else self._of_names


def _heads(text: str) -> frozenset[str]:
    """What its matches begin with, for each way through its braces. A wildcard that is meant as a character ends a
    head too early, which only means that the pattern is tried more often."""
    return frozenset(re.split(r"[*?]", outline, maxsplit=1)[0] for outline in outlines(text))


class Index:
    """The sources of ingestions, by where they look. It holds as much of an ingestion as its path and its pattern:
    whether a scope or a time leaves an object out is asked later, of the object itself."""

    def __init__(self) -> None:
        self._sources: dict[IngestionId, Source] = {}
        self._places: dict[Place, _Here] = defaultdict(_Here)

    def __len__(self) -> int:
        return len(self._sources)

    def put(self, ingestion_id: IngestionId, source: Source) -> None:
        """Adds an ingestion, or has it look elsewhere.

        Raises:
            ValueError: its pattern cannot be read; nothing has changed then, but what it was before is gone.
        """
        self.remove(ingestion_id)
        self._places[source.bucket, source.prefix].put(source.file_pattern, ingestion_id)
        self._sources[ingestion_id] = source

    def remove(self, ingestion_id: IngestionId) -> None:
        """It concerns nobody any more. May be called twice."""
        source = self._sources.pop(ingestion_id, None)
        if source is None:
            return
        place = (source.bucket, source.prefix)
        self._places[place].remove(source.file_pattern, ingestion_id)
        if self._places[place].is_empty:
            del self._places[place]

    def matches(self, bucket: str, key: str) -> frozenset[IngestionId]:
        """Those that the object concerns by its place and its name."""
        found = (
            ids
            for prefix in _folders(key)
            if (here := self._places.get((bucket, prefix))) is not None
            for ids in here.matches(key, prefix)
        )
        return frozenset().union(*found)


def _folders(key: str) -> Iterator[str]:
    """Every prefix under which a path may have the key: the whole bucket, and its folders."""
    yield ""
    end = key.find("/")
    while end >= 0:
        yield key[: end + 1]
        end = key.find("/", end + 1)
