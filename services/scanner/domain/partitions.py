"""Which partitions of a source need no listing for a while (``source.partition_pruning``). Pure.

A partition is a folder right below the source's path, or in another partition, that is named as Hive names them
(``year=2026/``) or as a part of a date (``2026/``, ``11/``, ``20261128/``, ``2026-11-28/``). It is settled when a scan
has seen all of it, nothing in it was open, and nothing was written there for some time. One that has partitions in it
takes much longer: to it comes a new one after every pause, and that one shall be found.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.settled import Tally

PARTITIONS_MAX = 50_000
"""A source with more is listed as a whole: some 20 MB of memory."""
_FOLDERS_KEPT = 10_000
_PAUSES_MAX = 30
"""So many times as long as a partition without others in it."""
_PARTITION = re.compile(r"[^=/]+=[^/]*|\d{2}|\d{4}|\d{6}|\d{8}|\d{10}|\d{4}-\d\d(?:-\d\d){0,2}")
_NOTHING = Tally(0, 0, 0)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What scans may do until the next full check: leave out the ``settled`` partitions, and count them as they were,
    if they look for others in each of ``places``, the source's prefix among them."""

    settled: dict[str, Tally]
    places: tuple[str, ...]


@dataclass(slots=True)
class _Folder:
    """A partition, or the source's prefix: what lies in it and in no partition inside of it."""

    tally: Tally = _NOTHING
    newest: datetime = _LONG_AGO
    is_open: bool = False


@dataclass(slots=True)
class Partitions:
    """Those below ``prefix`` that a full listing shows, in whatever order. A listing's page has ``page_keys``."""

    prefix: str
    page_keys: int
    _folders: dict[str, _Folder] = field(default_factory=lambda: defaultdict(_Folder))
    _known: dict[str, str] = field(default_factory=dict)

    def add(self, objects: Iterable[FileVersion], tally_of: Callable[[Sequence[FileVersion]], Tally]) -> None:
        """The listing has shown these objects."""
        for name, group in groupby(objects, key=lambda f: self.of(f.key)):
            if len(self._folders) <= PARTITIONS_MAX:
                files = [*group]
                folder = self._folders[name]
                folder.tally = _sum(folder.tally, tally_of(files))
                folder.newest = max(folder.newest, *(f.last_modified for f in files))

    def open(self, keys: Iterable[str]) -> None:
        """Of these, something is to do, now or in another run."""
        for key in keys:
            self._folders[self.of(key)].is_open = True

    def of(self, key: str) -> str:
        """The innermost partition that a key lies in, or the prefix."""
        place = key[: key.rfind("/") + 1]
        if (known := self._known.get(place)) is None:
            if len(self._known) >= _FOLDERS_KEPT:
                self._known.clear()
            known = self._known[place] = _partition_of(self.prefix, place)
        return known

    def pruned(self, now: datetime, settled_after: timedelta) -> Pruned | None:
        """What came of it, when all was seen. Nothing is left out where it would take more requests to look for others
        than to list everything. None: another scan may tell, since what is open now is all that stands in the way."""
        if len(self._folders) > PARTITIONS_MAX:
            return Pruned({}, ())
        found = self._pruned(now, settled_after)
        if not found.settled and self._pruned(now, settled_after, is_all_loaded=True).settled:
            return None
        return found

    def _pruned(self, now: datetime, settled_after: timedelta, *, is_all_loaded: bool = False) -> Pruned:
        inside = self._tree()
        settled: dict[str, _Folder] = {}
        for name in sorted(inside, key=len, reverse=True):  # what lies inside comes first
            inner = [settled[each] for each in inside[name] if each in settled]
            whole = _together([self._folders.get(name, _Folder()), *inner])
            rest = now - whole.newest if whole.newest < now else timedelta()
            is_settled = rest > settled_after * (_PAUSES_MAX if inside[name] else 1)
            is_loaded = is_all_loaded or not whole.is_open
            if name != self.prefix and len(inner) == len(inside[name]) and is_settled and is_loaded:
                for each in inside[name]:
                    del settled[each]
                settled[name] = whole
        places = {place for name in settled for place in _above(self.prefix, name)}
        listed = sum(inner not in settled and inner not in places for place in places for inner in inside[place])
        tallies = {name: each.tally for name, each in settled.items()}
        if not saves_requests(tallies.values(), len(places) + listed, self.page_keys):
            return Pruned({}, ())
        return Pruned(tallies, tuple(sorted(places)))

    def _tree(self) -> dict[str, set[str]]:
        """The partitions right inside of each partition, and of the prefix."""
        inside: dict[str, set[str]] = {self.prefix: set()}
        for name in self._folders:
            for inner, place in pairwise((name, *_above(self.prefix, name))):
                inside.setdefault(inner, set())
                inside.setdefault(place, set()).add(inner)
        return inside


def saves_requests(settled: Iterable[Tally], requests: int, page_keys: int) -> bool:
    """Whether so many requests are fewer than a listing of what is settled would take."""
    return sum(tally.objects for tally in settled) > requests * page_keys


def is_partition(name: str) -> bool:
    """Whether a folder of this name, without its slash, is a partition."""
    return _PARTITION.fullmatch(name) is not None


def _partition_of(prefix: str, place: str) -> str:
    """``place`` as far as its folders are partitions."""
    end = len(prefix)
    for name in place[len(prefix) :].split("/")[:-1]:
        if not is_partition(name):
            break
        end += len(name) + 1
    return place[:end]


def _above(prefix: str, name: str) -> Iterator[str]:
    """The partitions around one, from inside, and the prefix at last."""
    while len(name) > len(prefix):
        name = name[: max(name.rfind("/", 0, len(name) - 1) + 1, len(prefix))]
        yield name


def _together(folders: Sequence[_Folder]) -> _Folder:
    return _Folder(_sum(*(f.tally for f in folders)), max(f.newest for f in folders), any(f.is_open for f in folders))


def _sum(*tallies: Tally) -> Tally:
    return Tally(*(sum(counts) for counts in zip(*map(astuple, tallies), strict=True)))
