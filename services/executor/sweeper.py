"""Takes over batches that nobody works on: their executor vanished, or their message never came.

Every executor sweeps. The claim decides who gets a batch; the losers find it taken and go on.
"""

import asyncio
from datetime import timedelta

from libs.common.errors import AutoloaderError, Fenced
from libs.common.ids import BatchId
from libs.common.ledger.batches import BatchLedger
from libs.common.logs import get_logger
from services.executor.handlers import Batches

_log = get_logger(__name__)


class BatchSweeper:
    """``at_once`` bounds the batches that sweeping adds to those that came by message."""

    def __init__(self, ledger: BatchLedger, batches: Batches, *, interval: timedelta, at_once: int) -> None:
        self._ledger = ledger
        self._batches = batches
        self._interval = interval
        self._at_once = at_once

    async def run(self) -> None:
        """Sweeps for ever; ends only by cancellation."""
        while True:
            await asyncio.sleep(self._interval.total_seconds())
            if self._batches.aside.is_on():
                continue
            try:
                found = await self._ledger.claimable(planned_before=self._interval, limit=self._at_once)
            except AutoloaderError as error:
                _log.warning("sweep.failed", code=error.code, problem=error.message)
                continue
            await asyncio.gather(*(self._take(batch_id) for batch_id in found))

    async def _take(self, batch_id: BatchId) -> None:
        try:
            await self._batches.work_on(batch_id)
        except Fenced:
            return
        except AutoloaderError as error:
            _log.warning("sweep.failed", batch_id=str(batch_id), code=error.code, problem=error.message)
        except Exception:  # noqa: BLE001 - our bug in one batch must not end the sweeping of the others
            _log.exception("sweep.failed", batch_id=str(batch_id))
