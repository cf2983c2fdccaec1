"""Reloads on real services, planned as a scanner plans them: the test is the scanner, and there is no other."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from libs.common.ids import IngestionId, RunId, new_batch_id
from libs.common.ledger.model.batches import PlannedBatch
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import Page
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from tests.support.eventually import eventually
from tests.support.landing import BUCKET, ENDS_WITHIN_S, FINAL, Landing


@dataclass
class Reloading:
    """Three files of ten rows each are loaded; no executor runs until the test starts one."""

    landing: Landing
    ledger: ScanLedger

    @classmethod
    @asynccontextmanager
    async def prepared(cls, landing: Landing) -> AsyncIterator["Reloading"]:
        answer = await landing.autoloader.client.patch(
            f"/api/v1/ingestions/{landing.ingestion_id}", json={"destination": {"metadata_columns": ["_file_path"]}}
        )
        assert answer.is_success, answer.text
        for number in range(3):
            await landing.put(f"{number}.json", range(10 * number, 10 * number + 10))
        services = await asyncio.gather(*(landing.autoloader.start(name) for name in ("scanner", "executor")))
        assert "success" == (await landing.run())["status"]
        await asyncio.gather(*(service.stop() for service in services))
        database = Database(landing.autoloader.environment["DATABASE_URL"], pool_size=2)
        try:
            ledger = ScanLedger(database, Outbox(source="autoloader/test"), owner="test", lease=timedelta(minutes=5))
            yield cls(landing, ledger)
        finally:
            await database.close()

    async def begin(self, *, new: Iterable[tuple[str, Iterable[int]]] = (), **bodies: Iterable[int]) -> str:
        """A run that replaces the rows of these files, each by its number, and loads the ``new`` ones. Returns it."""
        run_id = (await self.landing.autoloader.post(f"/{self.landing.ingestion_id}/run"))["run_id"]
        again = [await self._put(f"{name.removeprefix('n')}.json", ids) for name, ids in bodies.items()]
        taken = [await self._put(name, ids) for name, ids in new]
        claim = await self.ledger.claim(RunId(UUID(run_id)), IngestionId(UUID(self.landing.ingestion_id)), 1)
        assert claim is not None
        batches = [PlannedBatch(new_batch_id(), (f,)) for f in taken]
        batches.append(PlannedBatch(new_batch_id(), tuple(again), replaces_rows=True))
        await self.ledger.complete(claim, Page(taken=tuple(taken), batches=tuple(batches)), ())
        return str(run_id)

    async def end_of(self, run_id: str) -> dict[str, object]:
        async def is_over() -> bool:
            run = await self.landing.autoloader.run_of(self.landing.ingestion_id, run_id)
            return run["status"] in FINAL

        await eventually(is_over, ENDS_WITHIN_S, what="the reload ends")
        return await self.landing.autoloader.run_of(self.landing.ingestion_id, run_id)

    async def _put(self, file: str, ids: Iterable[int]) -> FileVersion:
        await self.landing.put(file, ids)
        key = f"{self.landing.name}/{file}"
        head = await asyncio.to_thread(self.landing.s3.head_object, Bucket=BUCKET, Key=key)
        return FileVersion(BUCKET, key, head["ETag"].strip('"'), head["ContentLength"], head["LastModified"])
