"""Takes over listings that another scanner left behind, as soon as their lease is over.

Every scanner sweeps. The claim decides who gets a listing; the losers find it taken and go on.
"""

import asyncio
from datetime import timedelta

from libs.common.errors import AutoloaderError, Fenced
from libs.common.ids import IngestionId, RunId
from libs.common.ledger.scans import ScanLedger
from libs.common.logs import get_logger
from services.scanner.handlers import Scans

_TAKEN_AT_ONCE = 4
_log = get_logger(__name__)


class ScanSweeper:
    def __init__(self, ledger: ScanLedger, scans: Scans, *, interval: timedelta) -> None:
        self._ledger = ledger
        self._scans = scans
        self._interval = interval

    async def run(self) -> None:
        """Sweeps for ever; ends only by cancellation."""
        while True:
            await asyncio.sleep(self._interval.total_seconds())
            if not self._scans.aside.is_on():
                await self.sweep()

    async def sweep(self) -> None:
        """Takes over what there is, side by side: one listing, long or broken, holds up no other."""
        try:
            found = await self._ledger.abandoned(limit=_TAKEN_AT_ONCE)
        except AutoloaderError as error:
            _log.warning("sweep.failed", code=error.code, problem=error.message)
            return
        await asyncio.gather(*(self._take(*run) for run in found))

    async def _take(self, run_id: RunId, ingestion_id: IngestionId, generation: int) -> None:
        _log.info("scan.taken_over", run_id=str(run_id))
        try:
            await self._scans.scan(run_id, ingestion_id, generation)
        except Fenced:
            return
        except AutoloaderError as error:
            _log.warning("sweep.failed", run_id=str(run_id), code=error.code, problem=error.message)
        except Exception:  # noqa: BLE001 - our bug; it must not end the process that all other runs need
            _log.exception("sweep.bug", run_id=str(run_id))
