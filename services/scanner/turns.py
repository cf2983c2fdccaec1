"""Listings take turns, and wait while executors are behind.

A listing that waits keeps its claim and a few pages in memory, and lets another one have its turn. Its heartbeat goes
on (``libs/common/heartbeat.py``), so nobody takes it over, and a cancellation reaches it as any.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from libs.common import metrics
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.scans import ScanLedger
from libs.common.logs import get_logger
from services.scanner.domain.room import RoomLimits, has_room

_log = get_logger(__name__)


class Turns:
    """Of the listings of one process. ``at_once`` of them go on at a time; ``pause`` is between two looks for room."""

    def __init__(self, ledger: ScanLedger, limits: RoomLimits, *, at_once: int, pause: timedelta) -> None:
        self._ledger = ledger
        self._limits = limits
        self._pause = pause
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator["Turn"]:
        """Waits for a turn, and has it for the block."""
        turn = Turn(self._free, self._has_room, self._pause)
        await turn.begin()
        try:
            yield turn
        finally:
            turn.end()

    async def _has_room(self, claim: ScanClaim) -> bool:
        return has_room(await self._ledger.backlog(claim), self._limits)


class Turn:
    """One listing's: it has it from the beginning on, except while it waits for room."""

    def __init__(
        self, free: asyncio.Semaphore, has_room: Callable[[ScanClaim], Awaitable[bool]], pause: timedelta
    ) -> None:
        self._free = free
        self._has_room = has_room
        self._pause = pause
        self._is_on = False

    async def begin(self) -> None:
        await self._free.acquire()
        self._is_on = True

    def end(self) -> None:
        """May be called twice."""
        if self._is_on:
            self._is_on = False
            self._free.release()

    async def wait_for_room(self, claim: ScanClaim) -> None:
        """Returns when the claim's listing may plan more batches, and has its turn again.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        if await self._has_room(claim):
            return
        log = _log.bind(run_id=str(claim.run_id), ingestion_id=str(claim.ingestion_id))
        log.info("scan.waits")
        self.end()
        with metrics.SCANS_WAITING.track_inprogress():
            while True:
                await asyncio.sleep(self._pause.total_seconds())
                if await self._has_room(claim):
                    break
        await self.begin()
        log.info("scan.goes_on")
