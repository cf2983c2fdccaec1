"""The ledger in memory: what scanner, executor and refresh can see of it is what Postgres shows them.

    ledger = MemoryLedger(clock)
    claim = await ledger.scanner(owner="s1").claim(run, ingestion, 1)
    batch = await ledger.executor(owner="e1").claim(batch_id)
    refresh = await ledger.refresher(owner="e1").claim(refresh_id)

``tests/contract/ledger`` runs one suite on this one and on Postgres. Rows are frozen and replaced, so a transaction
that raises leaves nothing behind. Each method is atomic; it gives way to others once, before it begins. The tables
and the messages that were enqueued are there to be looked at.
"""

from datetime import timedelta

from tests.support.memory_ledger.batches import MemoryBatchLedger
from tests.support.memory_ledger.hints import MemoryHints
from tests.support.memory_ledger.refreshes import MemoryRefreshLedger
from tests.support.memory_ledger.scans import MemoryScanLedger
from tests.support.memory_ledger.swaps import MemorySwapLedger
from tests.support.memory_ledger.tables import RunRow, Tables

__all__ = [
    "LEASE",
    "MemoryBatchLedger",
    "MemoryHints",
    "MemoryLedger",
    "MemoryRefreshLedger",
    "MemoryScanLedger",
    "MemorySwapLedger",
    "RunRow",
]

LEASE = timedelta(seconds=30)


class MemoryLedger(Tables):
    """The tables, and those who work on them: any number of each kind."""

    def scanner(self, *, owner: str = "scanner", lease: timedelta = LEASE) -> MemoryScanLedger:
        return MemoryScanLedger(self, owner=owner, lease=lease)

    def executor(self, *, owner: str = "executor", lease: timedelta = LEASE) -> MemoryBatchLedger:
        return MemoryBatchLedger(self, owner=owner, lease=lease)

    def refresher(self, *, owner: str = "executor", lease: timedelta = LEASE) -> MemoryRefreshLedger:
        return MemoryRefreshLedger(self, owner=owner, lease=lease)

    def hints_taker(self) -> MemoryHints:
        return MemoryHints(self)

    def swapper(self) -> MemorySwapLedger:
        return MemorySwapLedger(self)
