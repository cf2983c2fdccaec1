"""Takes over listings that another scanner left behind, as soon as their lease is over."""

import asyncio
from datetime import timedelta

from libs.common.errors import AutoloaderError, Fenced
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
            try:
                for run in await self._ledger.abandoned(limit=_TAKEN_AT_ONCE):
                    _log.info("scan.taken_over", run_id=str(run[0]))
                    await self._scans.scan(*run)
            except Fenced:
                continue
            except AutoloaderError as error:
                _log.warning("sweep.failed", code=error.code, problem=error.message)
