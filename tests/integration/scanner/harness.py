"""A scanner on a real ledger, with a store in memory: put files, ask for runs, look at what came of them."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select

from libs.common.aside import Aside
from libs.common.clock import Clock, utc_now
from libs.common.contracts.codec import Envelope, decode, encode
from libs.common.contracts.definition import Credentials, Definition, Destination, Source
from libs.common.contracts.events import (
    Problem,
    RunCompleted,
    RunFact,
    RunRequested,
    ScanCompleted,
    ScanFailed,
    ScanProgress,
    Totals,
)
from libs.common.contracts.scope import Scope
from libs.common.ids import BatchId, IngestionId, RunId, TenantId, new_ingestion_id, new_run_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, PublishedBatch
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.scans import ScanLedger
from libs.common.ledger.states import BatchState
from libs.common.ledger.tables import batch, file
from libs.common.objects.ports import ScannedStore
from libs.common.objects.side_by_side import Place
from libs.common.objects.stretches import Stretch
from libs.common.secrets import SecretBox
from libs.common.storage.control import ingestion, outbox, run
from libs.common.storage.definitions import RunDefinitions
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from libs.common.storage.plans import PlannedFiles, plan, plan_file
from libs.common.sweeper import Sweeper
from services.scanner.candidates import Candidates
from services.scanner.domain.room import RoomLimits
from services.scanner.handlers import Scans
from services.scanner.sweeper import scan_sweeper
from services.scanner.turns import Turns
from tests.support.memory_objects import MemoryObjects

LONG = timedelta(minutes=5)
BUCKET = "landing"
_TENANT = TenantId("t")


class Harness:
    """One ingestion of ``s3://landing/in/``, three files to a batch, four keys to a page."""

    def __init__(
        self, database: Database, *, file_pattern: str = "*.json", page_size: int = 4, tenant_id: TenantId = _TENANT
    ) -> None:
        self.database = database
        self.tenant_id = tenant_id
        self.objects = MemoryObjects(page_size=page_size)
        self.objects.create_bucket(BUCKET)
        self.ingestion_id: IngestionId = new_ingestion_id()
        self.pattern = file_pattern
        self.options: dict[str, Any] = {}
        self.room = RoomLimits(1000, 1000)
        self.batch_files = 3
        self._outbox = Outbox(source="autoloader/test")

    def put(self, *keys: str, body: bytes = b"{}\n") -> None:
        for key in keys:
            self.objects.put(BUCKET, key, body)

    def put_at(self, at: datetime, *keys: str) -> None:
        """Objects that were written then."""
        self.put(*keys)
        objects = self.objects.buckets[BUCKET]
        objects.update({key: replace(objects[key], last_modified=at) for key in keys})

    def ledger(self, lease: timedelta = LONG) -> ScanLedger:
        return ScanLedger(self.database, self._outbox, owner="scanner", lease=lease)

    def scans(
        self,
        *,
        lease: timedelta = LONG,
        heartbeat: timedelta = LONG,
        objects: ScannedStore | None = None,
        aside: Aside | None = None,
        now: Clock = utc_now,
    ) -> Scans:
        definitions = RunDefinitions(self.database, SecretBox(base64.b64encode(b"k" * 32).decode()))
        ledger = self.ledger(lease)
        return Scans(
            ledger,
            definitions,
            Candidates(ledger, objects or self.objects, PlannedFiles(self.database), page_keys=self.objects.page_size),
            Turns(ledger, self.room, at_once=4, pause=timedelta(milliseconds=10)),
            heartbeat=heartbeat,
            aside=aside or Aside(LONG, self.database.now),
            now=now,
            seconds=lambda: 0.0,  # a machine that stands still for a second must not cut batches
        )

    def sweeper(self, scans: Scans, *, interval: timedelta = timedelta(milliseconds=10)) -> Sweeper[Any]:
        return scan_sweeper(self.ledger(), scans, interval=interval, at_once=4)

    async def new_run(self, *, retry_of: RunId | None = None, scope: Scope | None = None) -> RunId:
        """A run as the API would have stored it, but for its queue: several may be under way."""
        definition = Definition(
            name="test",
            cluster_id="local",
            source=Source(
                path=f"s3://{BUCKET}/in/",
                file_pattern=self.pattern,
                max_files_per_trigger=self.batch_files,
                **self.options,
            ),
            destination=Destination(catalog="c", database="d", table="t"),
        ).model_dump(mode="json", by_alias=True)
        run_id = new_run_id()
        async with self.database.begin() as connection:
            if (await connection.scalar(select(ingestion.c.id).where(ingestion.c.id == self.ingestion_id))) is None:
                await connection.execute(
                    ingestion.insert().values(
                        id=self.ingestion_id,
                        tenant_id=self.tenant_id,
                        status="active",
                        definition=definition,
                        created_by="me",
                    )
                )
            await connection.execute(
                run.insert().values(
                    id=run_id,
                    ingestion_id=self.ingestion_id,
                    tenant_id=self.tenant_id,
                    generation=1,
                    trigger="manual",
                    definition_version=1,
                    definition=definition,
                    ended_at=func.now(),
                    retry_of=retry_of,
                    scope=scope.model_dump(mode="json", exclude_defaults=True) if scope else None,
                    lane="backfill" if scope else "fresh",
                )
            )
        return run_id

    async def plan(self) -> UUID:
        """A plan of everything that is there now, as the API would have stored it."""
        plan_id = uuid4()
        files = sorted(self.objects.buckets[BUCKET].values(), key=lambda f: f.key)
        await self.new_run()  # makes the ingestion
        async with self.database.begin() as connection:
            await connection.execute(
                plan.insert().values(
                    id=plan_id, ingestion_id=self.ingestion_id, kind="run", generation=1, definition_version=1, shown={}
                )
            )
            rows = [
                {
                    "plan_id": plan_id,
                    "place": n,
                    "bucket": f.bucket,
                    "key": f.key,
                    "etag": f.etag,
                    "size_bytes": f.size_bytes,
                    "last_modified": f.last_modified,
                }
                for n, f in enumerate(files)
            ]
            await connection.execute(plan_file.insert(), rows)
        return plan_id

    async def scan(self, run_id: RunId, scans: Scans | None = None) -> None:
        await (scans or self.scans()).scan(run_id, self.ingestion_id, 1)

    def request(self, run_id: RunId) -> Envelope:
        """What the API sends for a run."""
        asked = RunRequested(
            run_id=run_id, ingestion_id=self.ingestion_id, generation=1, tenant_id="t", trigger="manual"
        )
        return decode(encode(asked, source="autoloader/test", time=utc_now()))

    async def scanned_run(self) -> RunId:
        run_id = await self.new_run()
        await self.scan(run_id)
        return run_id

    # --- what came of it ----------------------------------------------------------------------------------------

    async def facts(self, run_id: RunId) -> list[RunFact]:
        async with self.database.read() as connection:
            values = (await connection.scalars(select(outbox.c.value).order_by(outbox.c.id))).all()
        messages = [decode(value).message for value in values]
        return [m for m in messages if isinstance(m, RunFact) and m.run_id == run_id]

    async def totals(self, run_id: RunId) -> Totals:
        return (await self.facts(run_id))[-1].totals

    async def outcome(self, run_id: RunId) -> str | None:
        ends = [fact.outcome for fact in await self.facts(run_id) if isinstance(fact, RunCompleted)]
        assert len(ends) <= 1
        return ends[0] if ends else None

    async def is_scanned(self, run_id: RunId) -> bool:
        return any(isinstance(fact, ScanCompleted) for fact in await self.facts(run_id))

    async def problems(self, run_id: RunId) -> list[Problem]:
        told: list[Problem] = []
        for fact in await self.facts(run_id):
            if isinstance(fact, ScanFailed):
                told.append(fact.problem)
            elif isinstance(fact, ScanProgress):
                told.extend(fact.problems)
        return told

    async def warnings(self, run_id: RunId) -> tuple[str, ...]:
        return tuple(w for f in await self.facts(run_id) if isinstance(f, ScanCompleted) for w in f.warnings)

    async def states(self) -> dict[str, str]:
        """Each key with the states of its versions, oldest first."""
        query = select(file.c.key, file.c.state).where(file.c.ingestion_id == self.ingestion_id)
        found: dict[str, str] = {}
        async with self.database.read() as connection:
            for row in await connection.execute(query.order_by(file.c.discovered_at)):
                found[row.key] = f"{found[row.key]}, {row.state}" if row.key in found else row.state
        return found

    async def batches(self, run_id: RunId) -> list[list[str]]:
        """The keys in each batch of a run, as executors get them; and the counts on the batches agree."""
        query = select(batch.c.id, batch.c.file_count, batch.c.size_bytes).where(batch.c.run_id == run_id)
        found: list[list[str]] = []
        async with self.database.read() as connection:
            for row in (await connection.execute(query.order_by(batch.c.created_at))).all():
                files = (await connection.execute(select(file).where(file.c.batch_id == row.id))).all()
                assert (row.file_count, row.size_bytes) == (len(files), sum(f.size_bytes for f in files))
                found.append(sorted(f.key for f in files))
        return sorted(found)

    async def replacing(self, run_id: RunId) -> dict[tuple[str, ...], bool]:
        """The keys in each batch of a run, and whether it replaces rows."""
        ledger = BatchLedger(self.database, self._outbox, owner="looker", lease=LONG)
        query = select(batch.c.id, batch.c.replaces_rows).where(batch.c.run_id == run_id)
        async with self.database.read() as connection:
            rows = (await connection.execute(query)).all()
        found = {}
        for row in rows:
            claim = BatchClaim(row.id, run_id, self.ingestion_id, 1, 0, 1, row.replaces_rows)
            found[tuple(f.key for f in await ledger.files(claim))] = row.replaces_rows
        return found

    async def load(self, run_id: RunId) -> None:
        """What executors do with the run's batches."""
        ledger = BatchLedger(self.database, self._outbox, owner="executor", lease=LONG)
        for batch_id in await self.unfinished(run_id):
            claim = await ledger.claim(batch_id)
            assert claim is not None
            await ledger.published(claim, PublishedBatch(1, 1, ()))

    async def burn(self, run_id: RunId, verdict: BurnVerdict) -> None:
        ledger = BatchLedger(self.database, self._outbox, owner="executor", lease=LONG)
        for batch_id in await self.unfinished(run_id):
            claim = await ledger.claim(batch_id)
            assert claim is not None
            await ledger.burned(claim, verdict)

    async def unfinished(self, run_id: RunId) -> list[BatchId]:
        """The run's batches that executors have before them."""
        query = select(batch.c.id).where(batch.c.run_id == run_id, batch.c.state != BatchState.PUBLISHED)
        async with self.database.read() as connection:
            return [BatchId(each) for each in (await connection.scalars(query)).all()]


class PausingObjects:
    """Lists like another store, and stops behind the first page until it is told to go on."""

    def __init__(self, inner: ScannedStore) -> None:
        self._inner = inner
        self.is_pausing = asyncio.Event()
        self.go_on = asyncio.Event()

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[FileVersion]]:
        async for page in self._inner.pages(bucket, prefix, credentials):
            yield page
            self.is_pausing.set()
            await self.go_on.wait()

    async def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        """A page is a stretch."""
        for prefix in prefixes:
            async for page in self.pages(bucket, prefix, credentials):
                yield [Stretch(None, partial(tuple, page))]

    async def place(self, bucket: str, prefix: str, credentials: Credentials | None) -> Place[FileVersion] | None:
        return await self._inner.place(bucket, prefix, credentials)

    async def may_list(self, bucket: str, prefix: str, credentials: Credentials | None) -> bool:
        return await self._inner.may_list(bucket, prefix, credentials)

    async def versions(
        self, bucket: str, keys: Iterable[str], credentials: Credentials | None
    ) -> dict[str, FileVersion | None]:
        return await self._inner.versions(bucket, keys, credentials)

    async def first_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        return await self._inner.first_bytes(file, size_max, credentials)

    async def last_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        return await self._inner.last_bytes(file, size_max, credentials)


def names(count: int) -> list[str]:
    return [f"in/{n:02}.json" for n in range(count)]


def assert_each_once(expected: Sequence[str], batches: Sequence[Sequence[str]]) -> None:
    """Every file is in exactly one batch."""
    assert Counter(expected) == Counter(key for keys in batches for key in keys)
