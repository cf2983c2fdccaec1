"""Which ingestions follow what buckets tell, known freshly enough to rely on."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from libs.common.contracts.definition import Source
from libs.common.ids import IngestionId
from libs.common.logs import get_logger
from libs.common.storage.control import ingestion
from libs.common.storage.engine import Database
from libs.common.storage.following import follows_notifications
from services.scanner.domain.matching import Index

AGE_MAX_S = 1.0
"""How old an answer may be. The API lists a source only when everybody who takes notifications must know of the
ingestion (``SETTLED`` in ``services/api/triggers/listings.py``): between the two no file is lost."""
_log = get_logger(__name__)


class Followers:
    """Of one process. Looks into the database when somebody asks, once a second at most."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._index = Index()
        self._revisions: dict[UUID, datetime] = {}
        self._looked_at: float | None = None
        self._one_look = asyncio.Lock()

    async def index(self) -> Index:
        """Everybody who followed at some moment of the last ``AGE_MAX_S`` seconds.

        Raises:
            Temporary: code ``database_unavailable``; an older answer would lose what those want who came since.
        """
        async with self._one_look:
            began = self._monotonic()
            if self._looked_at is None or began - self._looked_at > AGE_MAX_S:
                await self._look()
                self._looked_at = began
        return self._index

    async def _look(self) -> None:
        """Reads again only what has changed."""
        query = select(ingestion.c.id, ingestion.c.updated_at).where(follows_notifications())
        async with self._database.read() as connection:
            now = {row.id: row.updated_at for row in await connection.execute(query)}
            changed = [each for each, revision in now.items() if self._revisions.get(each) != revision]
            sources = select(ingestion.c.id, ingestion.c.definition["source"].label("source"))
            rows = (await connection.execute(sources.where(ingestion.c.id.in_(changed)))).all() if changed else []
        for gone in self._revisions.keys() - now.keys():
            self._index.remove(IngestionId(gone))
        for row in rows:
            self._follow(IngestionId(row.id), Source.model_validate(row.source))
        self._revisions = now

    def _follow(self, ingestion_id: IngestionId, source: Source) -> None:
        try:
            self._index.put(ingestion_id, source)
        except ValueError as e:
            # Its listings fail with the reason; it must not keep the others from their news.
            _log.warning("notifications.unreadable_pattern", ingestion_id=str(ingestion_id), problem=str(e))
