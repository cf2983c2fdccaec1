"""Hints in memory."""

from collections.abc import Sequence

from libs.common.ledger.model.hints import Hint
from tests.support.memory_ledger.tables import Tables


class MemoryHints:
    """As ``libs.common.ledger.hints.Hints``."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, hints: Sequence[Hint]) -> None:
        async with self._tables.transaction():
            for h in {(h.ingestion_id, h.digest): h for h in hints}.values():
                seq = self._tables.last_hints.get(h.ingestion_id, 0) + 1
                self._tables.last_hints[h.ingestion_id] = seq
                self._tables.hints[h.ingestion_id, h.digest] = (seq, h)
