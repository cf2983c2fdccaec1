"""What a refresh would read, take and cost: a listing of the source, held against the ledger. Bounded in time; nothing
is written."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from libs.common.contracts.definition import LOADS_OVERWRITES, Credentials, OverwritePolicy, Source
from libs.common.errors import AutoloaderError
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import LOADED_FILE_STATES
from libs.common.ledger.tables import file
from libs.common.objects.ports import ObjectStore
from libs.common.storage.engine import Database
from services.api.costs.counting import count
from services.api.costs.history import past_runs
from services.api.costs.model import Estimate, Prices, Speed, estimate
from services.api.refresh.schemas import Impact

LISTING_S_MAX = 5.0


class Impacts:
    """Estimates impacts. ``speed`` and ``prices`` are the installation's."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        speed: Speed,
        prices: Prices,
        *,
        seconds_max: float = LISTING_S_MAX,
    ) -> None:
        self._database = database
        self._objects = objects
        self._speed = speed
        self._prices = prices
        self._seconds_max = seconds_max

    async def of(
        self, ingestion: Row[Any], history: int | None, source: Source, access: Credentials | None
    ) -> tuple[Impact, list[str]]:
        """The impact on an ingestion's row, and notes on what it rests on, or on what is not known. Files that the
        generation ``history`` has loaded are skipped; None skips none."""

        async def loaded(files: Sequence[FileVersion]) -> frozenset[bytes]:
            if history is None:
                return frozenset()
            return await self._loaded(ingestion.id, history, files, source.allow_overwrites)

        try:
            async with asyncio.timeout(self._seconds_max):
                known = None if history is None else loaded
                counted = await count(self._objects, source, access, ingestion.created_at, known)
        except TimeoutError:
            reason = f"its listing takes more than {self._seconds_max:g} s"
        except AutoloaderError as error:
            reason = error.message
        else:
            async with self._database.read() as connection:
                past = await past_runs(connection, ingestion.id)
            found = estimate(counted.work, self._speed, self._prices, past)
            impact = Impact(
                files_to_process=counted.work.files,
                files_skipped=counted.skipped,
                estimated_data_size_gb=counted.work.size_bytes / 1e9,
                estimated_cost_usd=found.usd,
                estimated_duration_minutes=found.seconds / 60,
            )
            return impact, [self._basis(found)]
        return Impact(), [f"how many files there are is not known, nor what it costs: {reason}"]

    def _basis(self, found: Estimate) -> str:
        runs = found.based_on_runs
        by = f"by this ingestion's last {runs} runs" if runs > 1 else "by this ingestion's last run"
        rests_on = f"corrected {by}" if runs else "by the formula alone, for there is no run to go by yet"
        return (
            f"duration and cost are estimates, {rests_on}: {self._speed.cores} cores at "
            f"{self._prices.core_hour_usd:g} USD an hour, {found.list_requests:,} LIST and {found.get_requests:,} GET"
        )

    async def _loaded(
        self, ingestion_id: UUID, generation: int, files: Sequence[FileVersion], overwrites: OverwritePolicy
    ) -> frozenset[bytes]:
        """Of these files, those that count as loaded: in whatever version, unless overwritten ones are loaded too."""
        query = select(file.c.key_digest, file.c.version_tag).where(
            file.c.ingestion_id == ingestion_id,
            file.c.generation == generation,
            file.c.state.in_(LOADED_FILE_STATES),
            file.c.key_digest == func.any([f.digest for f in files]),
        )
        async with self._database.read() as connection:
            loaded = {(bytes(row.key_digest), row.version_tag) for row in await connection.execute(query)}
        if overwrites in LOADS_OVERWRITES:
            return frozenset(f.digest for f in files if (f.digest, f.version_tag) in loaded)
        return frozenset(digest for digest, _ in loaded)
