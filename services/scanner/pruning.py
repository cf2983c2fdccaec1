"""Which parts of a source a scan lists, where settled partitions are left out (``source.partition_pruning``).

The first scan of a period lists everything, and what it finds settled (``domain/partitions.py``) is remembered for the
others of that period. They look into each place that has settled partitions in it, by a request each, and list what
else is there: new partitions, and those where something happens. To the ledger, marks are settled stretches: they are
void as soon as anything that was loaded ceases to be.
"""

from collections.abc import Iterable, Mapping, Sequence
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
from libs.common.storage.definitions import RunDefinition
from services.scanner.candidates import Candidates
from services.scanner.domain.partitions import Partitions, Pruned, is_partition, saves_requests

_ASKED_AT_ONCE = 1000
_Mark = Literal["whole", "place", "settled"]
"""whole: nothing is left out. place: has settled partitions in it. settled: is one."""
_MARKED = Tally(0, 0, 0)


@dataclass(slots=True)
class FullCheck:
    """A listing of everything that is to tell what later scans leave out; the ledger's ``epoch`` before it began."""

    partitions: Partitions
    epoch: int
    is_void: bool = False
    """Whether something ceased to be loaded meanwhile."""

    def looked_at(self, epoch: int, open_keys: Iterable[str]) -> None:
        """A part of the listing: for these keys something is to do, as the ledger said in this epoch."""
        self.is_void = self.is_void or epoch != self.epoch
        self.partitions.open(open_keys)


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
        page_keys: int = 1000,
    ) -> None:
        """A page of the listing has ``page_keys``: what is left out must be worth more requests than it takes."""
        rules = order.definition.source.partition_pruning
        every_s = rules.full_check_every_s
        # Not everybody's full check at midnight.
        period = int(now.timestamp() + claim.ingestion_id.int % every_s) // every_s
        self._ledger = ledger
        self._candidates = candidates
        self._claim = claim
        self._order = order
        self._prefix = prefix
        self._page_keys = page_keys
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
            return Ahead(
                [self._prefix], full_check=FullCheck(Partitions(self._prefix, self._page_keys), recognised.epoch)
            )
        way = _Way()
        await self._go(self._prefix, way, recognised.epoch)
        if not saves_requests(way.left_out, way.looks + len(way.prefixes), self._page_keys):
            return Ahead([self._prefix])
        return Ahead(way.prefixes, way.beside, way.left_out)

    async def learn(self, check: FullCheck) -> None:
        """What the other scans of this period leave out. Everything was listed, and looked at."""
        if not check.is_void and (found := check.partitions.pruned(self._now, self._settled_after)) is not None:
            marks = self._marks_of(found)
            for keys in _some(list(marks)):
                await self._ledger.remember(self._claim, check.epoch, {key: marks[key] for key in keys})

    async def _go(self, place: str, way: _Way, epoch: int) -> None:
        """Into a place, and those inside of it."""
        way.looks += 1
        there = await self._candidates.place(self._order, place)
        if there is None:
            way.prefixes.append(place)
            return
        way.beside += there.beside
        partitions = [f for f in there.folders if is_partition(f[len(place) : -1])]
        known = await self._known(partitions, epoch)
        for folder in there.folders:
            if (tally := known.get(self._mark("settled", folder))) is not None:
                way.left_out.append(tally)
            elif self._mark("place", folder) in known:
                await self._go(folder, way, epoch)
            else:
                way.prefixes.append(folder)

    async def _known(self, partitions: Sequence[str], epoch: int) -> Mapping[bytes, Tally]:
        """The marks that these have. None of another epoch: something ceased to be loaded meanwhile."""
        known: dict[bytes, Tally] = {}
        for some in _some([mark for p in partitions for mark in (self._mark("settled", p), self._mark("place", p))]):
            recognised = await self._ledger.recognise(self._claim, some)
            if recognised.epoch != epoch:
                return {}
            known |= recognised.tallies
        return known

    def _marks_of(self, found: Pruned) -> dict[bytes, Tally]:
        if not found.settled:
            return {self._mark("whole", self._prefix): _MARKED}
        places = {self._mark("place", place): _MARKED for place in found.places}
        return places | {self._mark("settled", name): tally for name, tally in found.settled.items()}

    def _mark(self, mark: _Mark, prefix: str) -> bytes:
        return sha256(b"\0".join((self._terms, mark.encode(), prefix.encode()))).digest()


def _some(marks: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
    return [marks[start : start + _ASKED_AT_ONCE] for start in range(0, len(marks), _ASKED_AT_ONCE)]
