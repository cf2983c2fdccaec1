"""What a run wants of its source, some files at a time, and what later runs need not look at again.

A listing of the whole source comes in stretches (``libs/common/objects/stretches.py``). Those that an earlier scan
found settled are counted and not even parsed; of the others, those that this one finds settled are remembered. Whole
partitions may be left out (``pruning.py``). Whether a file is settled is the ledger's word alone: nothing here decides
it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256

from libs.common.errors import AutoloaderError
from libs.common.ledger.model.files import FileVersion, Looked
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.model.settled import Tally
from libs.common.ledger.scans import ScanLedger
from libs.common.objects.stretches import Stretch
from libs.common.selection.select import Terms
from libs.common.selection.wanted import Wanted
from libs.common.storage.definitions import RunDefinition
from services.scanner.candidates import Candidates
from services.scanner.domain.seen import Seen
from services.scanner.pruning import Ahead, FullCheck, Pruning, may_prune

REMEMBERED_AT_ONCE = 500
_BESIDE_AT_ONCE = 1000
_RULES = "1"
"""Which objects are wanted under a definition, and which of these count as settled, as this code sees it. Another
number makes scans look at everything anew."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A stretch that nobody remembers, with the files in it that are wanted."""

    fingerprint: bytes
    tally: Tally
    files: Sequence[FileVersion]


@dataclass(frozen=True, slots=True)
class Portion:
    """Wanted files, in the order of the listing, often none, and the stretches that they make up, as far as these can
    be recognised. ``epoch`` was the ledger's when it was asked for them."""

    files: Sequence[FileVersion]
    stretches: Sequence[Counted] = ()
    epoch: int = 0


class Portions:
    """Of one scan. Counts in ``seen`` what comes by."""

    def __init__(
        self, ledger: ScanLedger, candidates: Candidates, claim: ScanClaim, order: RunDefinition, now: datetime
    ) -> None:
        """Raises ``ValueError`` when the definition's patterns cannot be read."""
        self._ledger = ledger
        self._candidates = candidates
        self._claim = claim
        self._order = order
        self._wanted = Wanted(order.definition.source, order.created_at, order.scope)
        self._terms = _terms_of(order)
        self._settled: dict[bytes, Tally] = {}
        self._epoch = 0
        self._pruning: Pruning | None = None
        if may_prune(order.definition.source, order.scope):
            self._pruning = Pruning(
                ledger, candidates, claim, order, prefix=self._wanted.prefix, terms=self._terms, now=now
            )
        self._check: FullCheck | None = None

    def of(self, terms: Terms, seen: Seen, hints_through: int) -> AsyncIterator[Portion]:
        """``hints_through``: as ``Candidates.pages`` has it."""
        # In a later attempt, something that was loaded meanwhile may be this run's own, and is not skipped then.
        if self._order.scope.is_whole and terms.pass_settled_over and self._claim.attempt == 1:
            return self._in_stretches(seen)
        return self._in_pages(seen, hints_through)

    async def learn(self, portion: Portion, looked: Looked) -> None:
        """Remembers those of its stretches in which nothing was to do, now or with others that follow."""
        if portion.epoch != self._epoch:
            await self.remember()
            self._epoch = portion.epoch
        open_keys = {f.key for f in looked.files}
        # Of a key that is named twice, the ledger was asked for one version only.
        is_clear = len({f.key for f in portion.files}) == len(portion.files)
        if self._check is not None:
            self._check.partitions.open(open_keys if is_clear else (f.key for f in portion.files))
        if is_clear:
            self._settled |= {
                stretch.fingerprint: stretch.tally
                for stretch in portion.stretches
                if not open_keys or open_keys.isdisjoint(f.key for f in stretch.files)
            }
        if len(self._settled) >= REMEMBERED_AT_ONCE:
            await self.remember()

    async def remember(self) -> None:
        """What was learnt, and is not written yet."""
        if self._settled:
            await self._ledger.remember(self._claim, self._epoch, self._settled)
            self._settled = {}

    async def _in_pages(self, seen: Seen, hints_through: int) -> AsyncIterator[Portion]:
        async for page in self._candidates.pages(self._claim, self._order, self._wanted, hints_through):
            tally, files = self._of(page)
            seen.add(tally)
            yield Portion(files)

    async def _in_stretches(self, seen: Seen) -> AsyncIterator[Portion]:
        ahead = Ahead([self._wanted.prefix]) if self._pruning is None else await self._pruning.ahead()
        self._check = ahead.full_check
        seen.left_out = len(ahead.left_out)
        for settled in ahead.left_out:
            seen.skip(settled)
        async for stretches in self._shown(ahead):
            named = [(s, self._under_terms(s)) for s in stretches]
            asked = [fingerprint for _, fingerprint in named if fingerprint is not None]
            recognised = await self._ledger.recognise(self._claim, asked)
            files: list[FileVersion] = []
            counted: list[Counted] = []
            for stretch, fingerprint in named:
                known = None if fingerprint is None else recognised.tallies.get(fingerprint)
                try:
                    objects = stretch.read() if known is None or self._check is not None else ()
                except AutoloaderError:
                    yield Portion(files, counted, recognised.epoch)  # what was read already is not lost
                    raise
                if self._check is not None:
                    self._check.partitions.add(objects, lambda some: self._of(some)[0])
                if known is not None:
                    seen.skip(known)
                    continue
                tally, some = self._of(objects)
                seen.add(tally)
                files += some
                if fingerprint is not None:
                    counted.append(Counted(fingerprint, tally, some))
            yield Portion(files, counted, recognised.epoch)
        # What was passed over shall be seen by the next scan, and by one that moves the watermark.
        if self._pruning is not None and self._check is not None and not seen.passed_over:
            await self._pruning.learn(self._check)  # everything was listed, and all of it was looked at

    async def _shown(self, ahead: Ahead) -> AsyncIterator[Sequence[Stretch]]:
        for start in range(0, len(ahead.beside), _BESIDE_AT_ONCE):
            yield [Stretch(None, partial(tuple, ahead.beside[start : start + _BESIDE_AT_ONCE]))]
        async for stretches in self._candidates.stretches(self._order, ahead.prefixes):
            yield stretches

    def _of(self, objects: Sequence[FileVersion]) -> tuple[Tally, Sequence[FileVersion]]:
        files = [f for f in objects if not f.is_folder_marker]
        named = [f for f in files if self._wanted.is_named(f.key)]
        of_age = self._wanted.of_age(named)
        return Tally(len(files), len(named), len(of_age)), of_age

    def _under_terms(self, stretch: Stretch) -> bytes | None:
        """What a stretch is remembered by: its fingerprint, and all that decides which of its objects are wanted."""
        return None if stretch.fingerprint is None else sha256(self._terms + stretch.fingerprint).digest()


def _terms_of(order: RunDefinition) -> bytes:
    # What is not listed is no question of what is wanted.
    source = order.definition.source.model_dump_json(exclude={"partition_pruning"})
    terms = (_RULES, source, order.created_at.isoformat(), str(order.scope.is_backfill))
    return sha256("\0".join(terms).encode()).digest()
