"""Takes in what buckets tell: whoever brings notices may acknowledge them when ``take`` has returned.

Many come at once, each by itself. They are written together: while one transaction is under way the next ones gather,
so that ten thousand notices are a few dozen transactions, and a single one does not wait for others.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from libs.common import metrics
from libs.common.failpoints import failpoint
from libs.common.ledger.hints import Hints
from libs.common.ledger.model.hints import Hint
from services.scanner.domain.matching import Index
from services.scanner.domain.notices import Notice
from services.scanner.followers import Followers

NOTICES_AT_ONCE = 5000
"""In one transaction, at most."""


@dataclass(slots=True, eq=False)
class _Delivery:
    notices: Sequence[Notice]
    is_taken: bool = False


@dataclass(slots=True)
class Intake:
    """Of one process."""

    followers: Followers
    hints: Hints
    _waiting: list[_Delivery] = field(default_factory=list)
    _one_writer: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, notices: Sequence[Notice]) -> None:
        """When it returns, the ledger has whatever an ingestion may want of them. Taking notices again is harmless.

        Raises:
            Temporary: code ``database_unavailable``; bring them again.
        """
        delivery = _Delivery(notices)
        self._waiting.append(delivery)
        try:
            async with self._one_writer:
                if not delivery.is_taken:  # by the one who wrote before
                    await self._write_with_others(delivery)
        finally:
            if delivery in self._waiting:
                self._waiting.remove(delivery)

    async def _write_with_others(self, first: _Delivery) -> None:
        """Those who wait find theirs taken; if this fails they are the next to try."""
        batch, count = [first], len(first.notices)
        for other in self._waiting:
            if other is not first and count + len(other.notices) <= NOTICES_AT_ONCE:
                batch.append(other)
                count += len(other.notices)
        hints, outcomes = understood([n for each in batch for n in each.notices], await self.followers.index())
        await self.hints.add(hints)
        failpoint("intake.after_tx")
        # What if the process stops right here? Nobody acknowledges; the notices come again, and change nothing.
        for each in batch:
            each.is_taken = True
        self._waiting = [each for each in self._waiting if not each.is_taken]
        for outcome, times in outcomes.items():
            metrics.NOTIFICATIONS.labels(outcome=outcome).inc(times)


def understood(notices: Sequence[Notice], index: Index) -> tuple[list[Hint], Counter[str]]:
    """What they mean to ingestions, and how many came to what (``metrics.NOTIFICATIONS``). Of an object that was
    removed nobody needs to know: a scan that looks for it finds it gone."""
    hints: list[Hint] = []
    outcomes: Counter[str] = Counter()
    for n in notices:
        if n.kind != "created":
            outcomes[n.kind] += 1
            continue
        ids = index.matches(n.bucket, n.key)
        outcomes["taken" if ids else "foreign"] += 1
        hints += [Hint(each, n.bucket, n.key, n.size_bytes, n.event_time) for each in ids]
    return hints, outcomes
