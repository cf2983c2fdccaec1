"""Which partitions of a source need no listing for a while (``source.partition_pruning``). Pure.

A partition is a folder right below the source's path, or in another partition, that is named as Hive names them
(``year=2026/``) or as a part of a date (``2026/``, ``11/``, ``20261128/``, ``2026-11-28/``). It is settled when a scan
has seen all of it, nothing in it was open, and nothing was written there for some time. One that has folders in it
takes much longer: to it comes a new one after every pause, and that one shall be found.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.settled import Tally

PARTITIONS_MAX = 50_000
"""A source with more is listed as a whole: some 20 MB of memory."""
_FOLDERS_KEPT = 10_000
_PAUSES_MAX = 30
"""So many times as long as a partition without folders in it."""
_PARTITION = re.compile(r"[^=/]+=[^/]*|\d{1,2}|\d{4}|\d{6}|\d{8}|\d{10}|\d{4}-\d\d(?:-\d\d){0,2}")
_NOTHING = Tally(0, 0, 0)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What scans may do until the next full check: leave out the ``settled`` partitions, and count them as they were,
    if they look for others in each of ``places``, the source's prefix among them."""

    settled: Mapping[str, Tally]
    places: Sequence[str]


NOTHING_PRUNED = Pruned({}, ())


@dataclass(slots=True)
class _Folder:
    """A partition, or the source's prefix: what lies in it and in no partition inside of it."""

    tally: Tally = _NOTHING
    newest: datetime = _LONG_AGO
    is_open: bool = False
    has_folders: bool = False


@dataclass(frozen=True, slots=True)
class _Branch:
    """A partition with all inside of it, and what becomes of it: it is settled, or a place, or it is listed, as one.
    ``saved`` are the pages that need not be listed, less the requests that are made instead; a place has some."""

    whole: _Folder
    is_settled: bool
    saved: float = 0.0


@dataclass(slots=True)
class Partitions:
    """Those below ``prefix`` that a full listing shows, in whatever order. A listing's page has ``page_keys``."""

    prefix: str
    page_keys: int
    is_too_many: bool = False
    _folders: dict[str, _Folder] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    def add(self, objects: Iterable[FileVersion], tally_of: Callable[[Sequence[FileVersion]], Tally]) -> None:
        """The listing has shown these objects."""
        for name, group in groupby(objects, key=lambda f: self.of(f.key)):
            if (folder := self._folder(name)) is not None:
                files = [*group]
                folder.tally += tally_of(files)
                folder.newest = max(folder.newest, *(f.last_modified for f in files))
                folder.has_folders = folder.has_folders or any("/" in f.key[len(name) :] for f in files)

    def open(self, keys: Iterable[str]) -> None:
        """Of these, something is to do, now or in another run."""
        for key in keys:
            if (folder := self._folder(self.of(key))) is not None:
                folder.is_open = True

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
        if self.is_too_many:
            return NOTHING_PRUNED
        found = self._pruned(now, settled_after)
        if not found.settled and self._pruned(now, settled_after, is_all_loaded=True).settled:
            return None
        return found

    def _folder(self, name: str) -> _Folder | None:
        if (folder := self._folders.get(name)) is None and not self.is_too_many:
            folder = self._folders[name] = _Folder()
            if len(self._folders) > PARTITIONS_MAX:
                self.is_too_many = True
                self._folders.clear()
        return folder

    def _pruned(self, now: datetime, settled_after: timedelta, *, is_all_loaded: bool = False) -> Pruned:
        inside = self._tree()
        found: dict[str, _Branch] = {}
        for name in sorted(inside, key=len, reverse=True):  # what lies inside comes first
            inner = [found[each] for each in inside[name]]
            whole = _together([self._folders.get(name, _Folder()), *(each.whole for each in inner)])
            pauses = _PAUSES_MAX if whole.has_folders else 1
            is_at_rest = whole.newest < now and now - whole.newest > settled_after * pauses
            is_loaded = is_all_loaded or not whole.is_open
            is_settled = name != self.prefix and is_at_rest and is_loaded and all(each.is_settled for each in inner)
            found[name] = _Branch(whole, is_settled, 0.0 if is_settled else self._saved(inner))
        return self._from_above(found, inside)

    def _saved(self, inner: Sequence[_Branch]) -> float:
        """By looking into a place: a request for each page of what it tells, and one for each that is listed."""
        settled = sum(each.whole.tally.objects for each in inner if _is_left_out(each)) / self.page_keys
        listed = sum(not _is_left_out(each) and not each.saved for each in inner)
        looks = 1 + len(inner) // self.page_keys
        return max(0.0, settled + sum(each.saved for each in inner) - listed - looks)

    def _from_above(self, found: Mapping[str, _Branch], inside: Mapping[str, set[str]]) -> Pruned:
        settled: dict[str, Tally] = {}
        places: list[str] = []
        waiting = [self.prefix] if found[self.prefix].saved else []
        while waiting:
            places.append(place := waiting.pop())
            for name in inside[place]:
                if _is_left_out(found[name]):
                    settled[name] = found[name].whole.tally
                elif found[name].saved:
                    waiting.append(name)
        return Pruned(settled, tuple(sorted(places)))

    def _tree(self) -> dict[str, set[str]]:
        """The partitions right inside of each partition, and of the prefix."""
        inside: dict[str, set[str]] = {self.prefix: set()}
        for name in self._folders:
            for inner, place in pairwise((name, *_above(self.prefix, name))):
                inside.setdefault(inner, set())
                inside.setdefault(place, set()).add(inner)
        return inside


def is_partition(name: str) -> bool:
    """Whether a folder of this name, without its slash, is a partition."""
    return _PARTITION.fullmatch(name) is not None


def _is_left_out(branch: _Branch) -> bool:
    """Where there never was a file that is wanted, the first one may come today."""
    return branch.is_settled and branch.whole.tally.of_age > 0


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
    """The first one has the others in it."""
    return _Folder(
        sum((f.tally for f in folders), _NOTHING),
        max(f.newest for f in folders),
        any(f.is_open for f in folders),
        folders[0].has_folders or len(folders) > 1,
    )
