"""One way to look at a ledger, whichever it is. Tests make their own runs, so that all can share one database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import func, select

from libs.common.contracts.codec import decode
from libs.common.contracts.events import FileBatchPlanned, Message, RunFact
from libs.common.ids import BatchId, IngestionId, RunId, new_batch_id, new_ingestion_id, new_run_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.cancellations import cancel_run
from libs.common.ledger.hints import Hints
from libs.common.ledger.ingestions import begin_generation
from libs.common.ledger.model.batches import PlannedBatch
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.refreshes import RefreshLedger
from libs.common.ledger.scans import ScanLedger
from libs.common.ledger.states import BatchState, FileState
from libs.common.ledger.swaps import SwapLedger
from libs.common.ledger.tables import batch, batch_attempt, file
from libs.common.storage.control import ingestion, outbox, run
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from tests.support.memory_ledger import (
    MemoryBatchLedger,
    MemoryHints,
    MemoryLedger,
    MemoryRefreshLedger,
    MemoryScanLedger,
    MemorySwapLedger,
    RunRow,
)
from tests.support.memory_ledger.cancellations import cancel_run as cancel_run_in_memory

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=50)
Scanner = ScanLedger | MemoryScanLedger
Executor = BatchLedger | MemoryBatchLedger
Refresher = RefreshLedger | MemoryRefreshLedger
Swapper = SwapLedger | MemorySwapLedger


@dataclass(frozen=True)
class FileSeen:
    """A row of ``ledger.file``, as far as tests ask."""

    key: str
    version_tag: str
    state: FileState
    batch_id: BatchId | None
    row_count: int | None
    error_type: str | None


@dataclass(frozen=True)
class Order:
    """Whose run it is."""

    run_id: RunId
    ingestion_id: IngestionId
    generation: int = 1

    def next_run(self) -> "Order":
        return Order(new_run_id(), self.ingestion_id, self.generation)


def new_order() -> Order:
    return Order(new_run_id(), new_ingestion_id())


class World(Protocol):
    """A ledger, and what a test may see behind its back."""

    def scanner(self, lease: timedelta = LONG, owner: str = "scanner") -> Scanner: ...
    def executor(self, lease: timedelta = LONG, owner: str = "executor") -> Executor: ...
    def refresher(self, lease: timedelta = LONG, owner: str = "executor") -> Refresher: ...
    def swapper(self) -> Swapper: ...
    def hints(self) -> Hints | MemoryHints: ...
    async def messages(self) -> list[Message]: ...
    async def files(self, ingestion_id: IngestionId) -> list[FileSeen]: ...
    async def batch_state(self, batch_id: BatchId) -> BatchState: ...
    async def begin_generation(self, ingestion_id: IngestionId, generation: int) -> None: ...
    async def ask(self, order: Order, *, is_dispatched: bool = True) -> None: ...
    async def end(self, order: Order) -> None: ...
    async def cancel(self, order: Order) -> bool: ...
    async def make_last(self, batch_id: BatchId, took: timedelta) -> None:
        """As if the attempt that published it had begun so long before its end."""
        ...


class MemoryWorld:
    def __init__(self) -> None:
        self._ledger = MemoryLedger()

    def scanner(self, lease: timedelta = LONG, owner: str = "scanner") -> Scanner:
        return self._ledger.scanner(owner=owner, lease=lease)

    def executor(self, lease: timedelta = LONG, owner: str = "executor") -> Executor:
        return self._ledger.executor(owner=owner, lease=lease)

    def refresher(self, lease: timedelta = LONG, owner: str = "executor") -> Refresher:
        return self._ledger.refresher(owner=owner, lease=lease)

    def swapper(self) -> Swapper:
        return self._ledger.swapper()

    def hints(self) -> MemoryHints:
        return self._ledger.hints_taker()

    async def messages(self) -> list[Message]:
        return list(self._ledger.events)

    async def files(self, ingestion_id: IngestionId) -> list[FileSeen]:
        return sorted(
            (
                FileSeen(
                    row.version.key,
                    at[3],
                    row.state,
                    row.batch_id,
                    row.row_count,
                    row.problem.error_type if row.problem else None,
                )
                for at, row in self._ledger.files.items()
                if at[0] == ingestion_id
            ),
            key=lambda f: (f.key.encode(), f.version_tag),
        )

    async def batch_state(self, batch_id: BatchId) -> BatchState:
        return self._ledger.batches[batch_id].state

    async def begin_generation(self, ingestion_id: IngestionId, generation: int) -> None:
        async with self._ledger.transaction():
            self._ledger.begin_generation(ingestion_id, generation)

    async def ask(self, order: Order, *, is_dispatched: bool = True) -> None:
        if is_dispatched:
            self._ledger.runs[order.run_id] = RunRow(order.ingestion_id, order.generation, self._ledger.clock())

    async def end(self, order: Order) -> None:
        del self._ledger.runs[order.run_id]

    async def cancel(self, order: Order) -> bool:
        async with self._ledger.transaction():
            return cancel_run_in_memory(self._ledger, order.run_id, order.ingestion_id, order.generation)

    async def make_last(self, batch_id: BatchId, took: timedelta) -> None:
        self._ledger.batches[batch_id] = replace(self._ledger.batches[batch_id], took=took)


class PostgresWorld:
    def __init__(self, database: Database) -> None:
        self.database = database
        self._outbox = Outbox(source="autoloader/test")

    def scanner(self, lease: timedelta = LONG, owner: str = "scanner") -> Scanner:
        return ScanLedger(self.database, self._outbox, owner=owner, lease=lease)

    def executor(self, lease: timedelta = LONG, owner: str = "executor") -> Executor:
        return BatchLedger(self.database, self._outbox, owner=owner, lease=lease)

    def refresher(self, lease: timedelta = LONG, owner: str = "executor") -> Refresher:
        return RefreshLedger(self.database, self._outbox, owner=owner, lease=lease, files_at_once=1)

    def swapper(self) -> Swapper:
        return SwapLedger(self.database)

    def hints(self) -> Hints:
        return Hints(self.database)

    async def messages(self) -> list[Message]:
        async with self.database.read() as connection:
            return [decode(value).message for value in await connection.scalars(_VALUES)]

    async def files(self, ingestion_id: IngestionId) -> list[FileSeen]:
        query = select(file).where(file.c.ingestion_id == ingestion_id)
        async with self.database.read() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return sorted(
            (FileSeen(r.key, r.version_tag, FileState(r.state), r.batch_id, r.row_count, r.error_type) for r in rows),
            key=lambda f: (f.key.encode(), f.version_tag),
        )

    async def batch_state(self, batch_id: BatchId) -> BatchState:
        async with self.database.read() as connection:
            return BatchState((await connection.scalars(select(batch.c.state).where(batch.c.id == batch_id))).one())

    async def begin_generation(self, ingestion_id: IngestionId, generation: int) -> None:
        async with self.database.begin() as connection:
            await begin_generation(connection, ingestion_id, generation)

    async def ask(self, order: Order, *, is_dispatched: bool = True) -> None:
        owner = {"tenant_id": "t", "definition": {}}
        async with self.database.begin() as connection:
            await connection.execute(
                ingestion.insert().values(id=order.ingestion_id, status="active", created_by="me", **owner)
            )
            await connection.execute(
                run.insert().values(
                    id=order.run_id,
                    ingestion_id=order.ingestion_id,
                    generation=order.generation,
                    trigger="manual",
                    definition_version=1,
                    dispatched_at=func.now() if is_dispatched else None,
                    **owner,
                )
            )

    async def end(self, order: Order) -> None:
        async with self.database.begin() as connection:
            await connection.execute(run.update().where(run.c.id == order.run_id).values(ended_at=func.now()))

    async def cancel(self, order: Order) -> bool:
        async with self.database.begin() as connection:
            return await cancel_run(connection, self._outbox, order.run_id, order.ingestion_id, order.generation)

    async def make_last(self, batch_id: BatchId, took: timedelta) -> None:
        is_its = batch_attempt.c.batch_id == batch_id, batch_attempt.c.outcome == "published"
        async with self.database.begin() as connection:
            await connection.execute(
                batch_attempt.update().where(*is_its).values(started_at=batch_attempt.c.ended_at - took)
            )


_VALUES = select(outbox.c.value).order_by(outbox.c.id)


async def facts(world: World, order: Order) -> list[RunFact]:
    """What the run-status topic gets of a run, in the order in which it goes out."""
    return [m for m in await world.messages() if isinstance(m, RunFact) and m.run_id == order.run_id]


async def planned(world: World, order: Order) -> list[BatchId]:
    """The batches that executors are woken for, in order."""
    found = [m for m in await world.messages() if isinstance(m, FileBatchPlanned) and m.run_id == order.run_id]
    return [BatchId(m.batch_id) for m in found]


async def states(world: World, order: Order) -> dict[str, FileState]:
    """Each key with the state of its version; keys with several versions as ``key@version``."""
    rows = await world.files(order.ingestion_id)
    several = {r.key for r in rows if 1 < sum(o.key == r.key for o in rows)}
    return {f"{r.key}@{r.version_tag}" if r.key in several else r.key: r.state for r in rows}


def version(key: str, etag: str = "v1", size_bytes: int = 10) -> FileVersion:
    return FileVersion("landing", key, etag, size_bytes, datetime(2025, 1, 7, tzinfo=UTC))


def versions(*keys: str) -> tuple[FileVersion, ...]:
    return tuple(version(key) for key in keys)


def batch_of(*files: FileVersion) -> PlannedBatch:
    return PlannedBatch(new_batch_id(), files)


async def claimed(world: World, order: Order) -> ScanClaim:
    claim = await world.scanner().claim(order.run_id, order.ingestion_id, order.generation)
    assert claim is not None
    return claim


async def scanned(world: World, order: Order, *batches: Sequence[FileVersion]) -> list[BatchId]:
    """A listing that found these batches and came to its end."""
    made = tuple(batch_of(*files) for files in batches)
    claim = await claimed(world, order)
    page = Page(taken=tuple(f for files in batches for f in files), batches=made)
    await world.scanner().record(claim, page)
    await world.scanner().complete(claim, Page(), ())
    return [b.id for b in made]
