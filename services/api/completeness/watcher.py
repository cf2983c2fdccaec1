"""States watermarks: looks at every ingestion whose watermark may move, and tells those that moved.

Apart from what loads files, which it never holds up. Every API process looks. The guarded update lets one of them
state a watermark, and the event that tells of it is in the same transaction. What if the process stops in the middle?
The next look finds the same.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.common import metrics
from libs.common.completeness.watermark import advanced, reached
from libs.common.contracts.definition import Definition
from libs.common.contracts.events import WatermarkAdvanced
from libs.common.contracts.topics import COMPLETENESS
from libs.common.ledger.watermarks import held_by, written_at
from libs.common.logs import get_logger
from libs.common.selection.wanted import Wanted
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.completeness import repository
from services.api.looking import keep_looking

_log = get_logger(__name__)


class Watcher:
    """One look every ``interval``."""

    def __init__(self, database: Database, outbox: Outbox, *, interval: timedelta) -> None:
        self._database = database
        self._outbox = outbox
        self._interval = interval
        self._shown: set[UUID] = set()

    async def run(self) -> None:
        """For ever; ends only by cancellation. An absent database is waited for, bugs are logged."""
        await keep_looking(self.look, every=self._interval, name="watermarks")

    async def look(self) -> list[UUID]:
        """Everything once. Returns the ingestions whose watermark this process moved.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        async with self._database.read() as connection:
            behind = await repository.behind(connection)
        moved = [row.id for row in behind if await self._advance(row)]
        async with self._database.read() as connection:
            self._show(await repository.lags(connection))
        return moved

    async def _advance(self, row: Row[Any]) -> bool:
        wanted = Wanted(Definition.model_validate(row.definition).source, row.created_at)
        # Later than ``listed_from`` was read. What the ledger has learned since is not needed for it, and may hold it.
        async with self._database.read() as connection:
            oldest = await held_by(connection, row.id, row.generation, row.listed_from, wanted, limit=1)
        up_to = advanced(row.up_to, reached(row.listed_from, written_at(oldest)))
        if up_to == row.up_to:
            return False
        async with self._database.begin() as connection:
            at = await repository.advance(connection, row.id, row.generation, up_to)
            if at is None:
                return False
            fact = WatermarkAdvanced(
                ingestion_id=row.id,
                tenant_id=row.tenant_id,
                generation=row.generation,
                watermark=up_to,
                listed_from=row.listed_from,
                occurred_at=at,
            )
            await self._outbox.enqueue(connection, COMPLETENESS, fact)
        _log.info("watermark.advanced", ingestion_id=str(row.id), watermark=up_to.isoformat())
        return True

    def _show(self, lags: dict[UUID, float]) -> None:
        for ingestion_id in self._shown - lags.keys():
            metrics.WATERMARK_LAG_SECONDS.remove(str(ingestion_id))
        for ingestion_id, lag_s in lags.items():
            metrics.WATERMARK_LAG_SECONDS.labels(ingestion_id=str(ingestion_id)).set(lag_s)
        self._shown = set(lags)
