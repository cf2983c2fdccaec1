"""What a refresh would read: a listing of the source, held against the ledger. Bounded in time; nothing is written."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select

from libs.common.contracts.definition import Credentials, Definition
from libs.common.contracts.events import RefreshMode
from libs.common.errors import AutoloaderError
from libs.common.ledger.model import FileVersion
from libs.common.ledger.states import LOADED_FILE_STATES
from libs.common.ledger.tables import file
from libs.common.objects.pattern import Pattern
from libs.common.objects.ports import ObjectStore
from libs.common.storage.engine import Database
from services.api.refresh.schemas import Impact

LISTING_S_MAX = 5.0
NOT_ESTIMATED = "cost and duration are not estimated"


class Impacts:
    """Estimates impacts."""

    def __init__(self, database: Database, objects: ObjectStore, *, seconds_max: float = LISTING_S_MAX) -> None:
        self._database = database
        self._objects = objects
        self._seconds_max = seconds_max

    async def of(
        self, ingestion_id: UUID, generation: int, definition: Definition, access: Credentials | None, mode: RefreshMode
    ) -> tuple[Impact, list[str]]:
        """The impact, and notes on what is not known."""
        try:
            async with asyncio.timeout(self._seconds_max):
                return await self._count(ingestion_id, generation, definition, access, mode), [NOT_ESTIMATED]
        except TimeoutError:
            reason = f"its listing takes more than {self._seconds_max:g} s"
        except AutoloaderError as error:
            reason = error.message
        return Impact(), [f"how many files there are is not known: {reason}", NOT_ESTIMATED]

    async def _count(
        self, ingestion_id: UUID, generation: int, definition: Definition, access: Credentials | None, mode: RefreshMode
    ) -> Impact:
        source = definition.source
        pattern = Pattern(source.file_pattern)
        to_process = skipped = size_bytes = 0
        async for page in self._objects.pages(source.bucket, source.prefix, access):
            files = [f for f in page if not f.key.endswith("/") and pattern.matches(f.key, source.prefix)]
            loaded = await self._loaded(ingestion_id, generation, files) if mode == "new_only" else frozenset()
            skipped += len(loaded)
            to_process += len(files) - len(loaded)
            size_bytes += sum(f.size_bytes for f in files if f.digest not in loaded)
        return Impact(files_to_process=to_process, files_skipped=skipped, estimated_data_size_gb=size_bytes / 1e9)

    async def _loaded(self, ingestion_id: UUID, generation: int, files: Sequence[FileVersion]) -> frozenset[bytes]:
        if not files:
            return frozenset()
        query = select(file.c.key_digest).where(
            file.c.ingestion_id == ingestion_id,
            file.c.generation == generation,
            file.c.state.in_(LOADED_FILE_STATES),
            file.c.key_digest == func.any([f.digest for f in files]),
        )
        async with self._database.read() as connection:
            return frozenset(bytes(digest) for digest in await connection.scalars(query))
