"""Which parts of a source a scan lists, where settled partitions are left out (``source.partition_pruning``).

The first scan of a period lists everything, and what it finds settled (``domain/partitions.py``) is remembered for the
others of that period. They look into each place that has settled partitions in it, by a request each, and list what
else is there: new partitions, and those where something happens. To the ledger, marks are settled stretches: they are
void as soon as anything that was loaded ceases to be.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from libs.common.contracts.definition import Source
from libs.common.contracts.scope import Scope
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.model.settled import Tally
from libs.common.ledger.scans import ScanLedger
from libs.common.logs import get_logger
from libs.common.objects.side_by_side import Place
from libs.common.storage.definitions import RunDefinition
from services.scanner.candidates import Candidates
from services.scanner.domain.partitions import Partitions, Pruned, is_partition

_ASKED_AT_ONCE = 1000
_LOOKS_AT_ONCE = 4
_OPEN_MAX = 1000
_BESIDE_MAX = 50_000
"""Objects beside partitions that are held in memory: 20 MB."""
_Mark = Literal["whole", "place", "settled"]
"""whole: nothing is left out. place: has settled partitions in it. settled: is one."""
_MARKED = Tally(0, 0, 0)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FullCheck:
    """A listing of everything that is to tell what later scans leave out; the ledger's ``epoch`` before it began. If
    that is another one when it ends, what it learnt is void already."""

    partitions: Partitions
    epoch: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is to be listed: all below ``prefixes``. ``beside`` was shown already, ``left_out`` is settled."""

    prefixes: Sequence[str]
    beside: Sequence[FileVersion] = ()
    left_out: Sequence[Tally] = ()
    full_check: FullCheck | None = None


@dataclass(slots=True)
class _Way:
    """Through the places of a source: what was found so far."""

    prefixes: list[str] = field(default_factory=list)
    beside: list[FileVersion] = field(default_factory=list)
    left_out: list[Tally] = field(default_factory=list)
    looks: int = 0

    def pays(self, page_keys: int) -> bool:
        """Whether fewer requests were made and are to be made than a listing of what is left out would take."""
        return sum(t.objects for t in self.left_out) > (self.looks + len(self.prefixes)) * page_keys


def may_prune(source: Source, scope: Scope) -> bool:
    """Whether a run over the whole source may leave something out. Not one that looks for what others missed."""
    return source.partition_pruning.enabled and not scope.is_backfill and scope.noticed_since is None


class Pruning:
    """Of one scan, of all below ``prefix``. ``terms`` are what decides which files are wanted there."""

    def __init__(
        self,
        ledger: ScanLedger,
        candidates: Candidates,
        claim: ScanClaim,
        order: RunDefinition,
        *,
        prefix: str,
        terms: bytes,
        now: datetime,
    ) -> None:
        rules = order.definition.source.partition_pruning
        every_s = rules.full_check_every_s
        # Not everybody's full check at midnight.
        period = int(now.timestamp() + claim.ingestion_id.int % every_s) // every_s
        self._ledger = ledger
        self._candidates = candidates
        self._claim = claim
        self._order = order
        self._prefix = prefix
        self._page_keys = candidates.page_keys
        self._now = now
        self._settled_after = timedelta(seconds=rules.settled_after_s)
        self._terms = b"\0".join((terms, rules.model_dump_json().encode(), str(period).encode()))

    async def ahead(self) -> Ahead:
        """What this scan lists.

        Raises:
            Temporary: the ledger's.
        """
        whole, place = self._mark("whole", self._prefix), self._mark("place", self._prefix)
        recognised = await self._ledger.recognise(self._claim, [whole, place])
        if whole in recognised.tallies:
            return Ahead([self._prefix])
        if place not in recognised.tallies:
            partitions = Partitions(self._prefix, self._page_keys)
            return Ahead([self._prefix], full_check=FullCheck(partitions, recognised.epoch))
        if (open_keys := await self._open_keys()) is None:
            return Ahead([self._prefix])
        way = await self._gone(open_keys)
        if len(way.beside) <= _BESIDE_MAX and way.pays(self._page_keys) and await self._may_list(way):
            return Ahead(way.prefixes, way.beside, way.left_out)
        _log.info("scan.not_pruned", prefix=self._prefix, run_id=str(self._claim.run_id))
        await self._ledger.remember(self._claim, recognised.epoch, {whole: _MARKED})
        return Ahead([self._prefix])

    async def learn(self, check: FullCheck) -> None:
        """What the other scans of this period leave out. Everything was listed, and looked at."""
        if (found := check.partitions.pruned(self._now, self._settled_after)) is not None:
            marks = self._marks_of(found)
            for keys in _some(list(marks)):
                await self._ledger.remember(self._claim, check.epoch, {key: marks[key] for key in keys})

    async def _open_keys(self) -> list[str] | None:
        """Those that the ledger knows something to do about, in order; None if they are many. A partition that was
        settled may have one by now: a backfill found it there, and could not load it."""
        failed = await self._ledger.failed_keys(self._claim, after=None, limit=_OPEN_MAX)
        waiting = await self._ledger.waiting_keys(self._claim, after=None, limit=_OPEN_MAX)
        return None if _OPEN_MAX in (len(failed), len(waiting)) else sorted({*failed, *waiting})

    async def _gone(self, open_keys: Sequence[str]) -> _Way:
        """Into the source's prefix and all places in it, from above, some at a time."""
        way, waiting = _Way(), [self._prefix]
        while waiting:
            some, waiting = waiting[:_LOOKS_AT_ONCE], waiting[_LOOKS_AT_ONCE:]
            way.looks += len(some)
            found = await asyncio.gather(*(self._candidates.place(self._order, place) for place in some))
            for place, there in zip(some, found, strict=True):
                if there is None:
                    way.prefixes.append(place)
                else:
                    waiting += await self._sorted_out(place, there, open_keys, way)
        return way

    async def _sorted_out(
        self, place: str, there: Place[FileVersion], open_keys: Sequence[str], way: _Way
    ) -> list[str]:
        """The places in this one; the others are on the way."""
        way.beside += there.beside
        known = await self._known([f for f in there.folders if is_partition(f[len(place) : -1])])
        places = []
        for folder in there.folders:
            tally = known.get(self._mark("settled", folder))
            if tally is not None and not _has_one_of(folder, open_keys):
                way.left_out.append(tally)
            elif self._mark("place", folder) in known:
                places.append(folder)
            else:
                way.prefixes.append(folder)
        return places

    async def _may_list(self, way: _Way) -> bool:
        """Whether a policy lets us list folders by themselves: one tells of all."""
        return not way.prefixes or await self._candidates.may_list(self._order, way.prefixes[0])

    async def _known(self, partitions: Sequence[str]) -> Mapping[bytes, Tally]:
        """The marks that these have."""
        known: dict[bytes, Tally] = {}
        for some in _some([mark for p in partitions for mark in (self._mark("settled", p), self._mark("place", p))]):
            known |= (await self._ledger.recognise(self._claim, some)).tallies
        return known

    def _marks_of(self, found: Pruned) -> dict[bytes, Tally]:
        if not found.settled:
            return {self._mark("whole", self._prefix): _MARKED}
        places = {self._mark("place", place): _MARKED for place in found.places}
        return places | {self._mark("settled", name): tally for name, tally in found.settled.items()}

    def _mark(self, mark: _Mark, prefix: str) -> bytes:
        return sha256(b"\0".join((self._terms, mark.encode(), prefix.encode()))).digest()


def _has_one_of(folder: str, keys: Sequence[str]) -> bool:
    """``keys`` are in order."""
    at = bisect_left(keys, folder)
    return at < len(keys) and keys[at].startswith(folder)


def _some(marks: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
    return [marks[start : start + _ASKED_AT_ONCE] for start in range(0, len(marks), _ASKED_AT_ONCE)]
