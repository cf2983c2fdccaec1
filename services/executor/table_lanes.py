"""One lane per table: what changes a table's metadata goes one after another inside this process.

Calm, not correctness: Iceberg would refuse and retry the collisions. Executors in other processes still collide,
and the protocol reads back whatever happened.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TableLanes:
    def __init__(self) -> None:
        self._lanes: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, table: str) -> AsyncIterator[None]:
        """Holds the table's lane for the block. Not reentrant."""
        lock, users = self._lanes.get(table, (asyncio.Lock(), 0))
        self._lanes[table] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._lanes.pop(table)
            if users > 1:
                self._lanes[table] = (lock, users - 1)
