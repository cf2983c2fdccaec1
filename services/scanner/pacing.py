"""How much the next batches of a scan hold, by how long the latest ones took (``domain/pace.py``)."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from libs.common.contracts.definition import Source
from libs.common.ledger.model.batches import PastBatch
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.scans import ScanLedger
from services.scanner.domain.pace import TELLING, paced
from services.scanner.domain.planning import Limits


class Pacing:
    """Of one scan. A batch should take ``target`` at most. ``seconds`` is a clock."""

    def __init__(
        self, ledger: ScanLedger, claim: ScanClaim, source: Source, target: timedelta, seconds: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._claim = claim
        self._most = Limits(source.max_files_per_trigger, source.max_bytes_per_trigger)
        self._target = target
        self._seconds = seconds
        self._past: Sequence[PastBatch] = ()
        self._asked_at: float | None = None

    async def look(self) -> None:
        """Asks how long batches took, unless it has just done so: what is new since then is too short to tell.

        Raises:
            Temporary: the ledger's.
        """
        now = self._seconds()
        if self._asked_at is None or now - self._asked_at >= TELLING.total_seconds():
            self._asked_at = now
            self._past = await self._ledger.past_batches(self._claim, at_least=TELLING)

    def limits(self, *, replaces_rows: bool = False) -> Limits:
        """Of batches that only add rows, or that replace some: these take another time."""
        return paced(self._most, [b for b in self._past if b.replaces_rows is replaces_rows], self._target)
