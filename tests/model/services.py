"""The services of the world: their real handlers, put together around the memory that a process speaks to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from libs.common.aside import Aside
from libs.common.contracts.codec import Envelope
from libs.common.ids import BatchId, IngestionId, RefreshId, RunId
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.refreshes import RefreshLedger
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.definitions import RunDefinition, RunDefinitions
from libs.common.storage.plans import PlannedFiles
from services.executor.commit import CommitProtocol
from services.executor.handlers import Batches, Patience
from services.executor.ports import Table
from services.executor.refresh import Refreshes
from services.executor.swap import Swaps
from services.executor.table_lanes import TableLanes
from services.executor.whole_table_ports import TablePlace, WholeTable
from services.scanner.candidates import Candidates
from services.scanner.domain.room import RoomLimits
from services.scanner.handlers import Scans
from services.scanner.turns import Turns
from tests.model.api import Api
from tests.model.process import Process
from tests.support.clocks import the_same_time
from tests.support.memory_ledger import MemoryLedger
from tests.support.memory_objects import MemoryObjects
from tests.support.memory_table import MemoryTable, MemoryTablePlace
from tests.support.memory_warehouse import Warehouse
from tests.support.memory_whole_table import MemoryWholeTable

NEVER = timedelta(days=365)
"""Heartbeats: a process that stands still does not beat either, and one that goes on renews its lease by each write."""


@dataclass(frozen=True, slots=True)
class Services:
    """Each method is the whole work of one process: on a message, or on what a sweeper found."""

    api: Api
    ledger: MemoryLedger
    objects: MemoryObjects
    warehouse: Warehouse
    table_type: type[MemoryTable]

    async def scan(self, envelope: Envelope, process: Process) -> None:
        await self._scans(process).on_run_requested(envelope)

    async def scan_again(self, scan: tuple[RunId, IngestionId, int], process: Process) -> None:
        await self._scans(process).scan(*scan)

    async def load(self, envelope: Envelope, process: Process) -> None:
        await self._batches(process).on_file_batch_planned(envelope)

    async def load_again(self, batch_id: BatchId, process: Process) -> None:
        await self._batches(process).work_on(batch_id)

    async def refresh(self, envelope: Envelope, process: Process) -> None:
        await self._refreshes(process).on_refresh_table(envelope)

    async def refresh_again(self, refresh_id: RefreshId, process: Process) -> None:
        await self._refreshes(process).work_on(refresh_id)

    def _scans(self, process: Process) -> Scans:
        ledger = cast("ScanLedger", process.around_ledger(self.ledger.scanner(owner=process.name)))
        return Scans(
            ledger,
            cast("RunDefinitions", process.around_ledger(self.api)),
            Candidates(ledger, process.around_objects(self.objects), cast("PlannedFiles", None)),
            Turns(ledger, RoomLimits(1000, 1000), at_once=1, pause=NEVER),
            heartbeat=NEVER,
            aside=Aside(timedelta(), the_same_time),
            seconds=lambda: 0.0,
        )

    def _batches(self, process: Process) -> Batches:
        ledger = process.around_ledger(self.ledger.executor(owner=process.name))
        return Batches(
            cast("BatchLedger", ledger),
            cast("RunDefinitions", process.around_ledger(self.api)),
            _Tables(self, process),
            CommitProtocol(ledger, process.around_objects(self.objects), TableLanes()),
            heartbeat=NEVER,
            patience=Patience(),
            aside=Aside(timedelta(), the_same_time),
        )

    def _refreshes(self, process: Process) -> Refreshes:
        batches = process.around_ledger(self.ledger.executor(owner=process.name))
        refreshes = process.around_ledger(self.ledger.refresher(owner=process.name))
        tables = _Tables(self, process)
        return Refreshes(
            cast("RefreshLedger", refreshes),
            cast("BatchLedger", batches),
            cast("RunDefinitions", process.around_ledger(self.api)),
            tables,
            CommitProtocol(batches, process.around_objects(self.objects), TableLanes()),
            Swaps(refreshes, process.around_ledger(self.ledger.swapper()), tables),
            heartbeat=NEVER,
        )


@dataclass(frozen=True, slots=True)
class _Tables:
    """As the executor's ``SparkTables``: opens the one table, or its name, on behalf of a process."""

    services: Services
    process: Process

    @asynccontextmanager
    async def open(self, order: RunDefinition) -> AsyncIterator[Table]:
        parts = self.services
        table: Table = parts.table_type(parts.warehouse, order.definition.destination, parts.objects)
        yield self.process.around_table(table)

    @asynccontextmanager
    async def open_place(self, order: RunDefinition) -> AsyncIterator[TablePlace]:
        place: TablePlace = MemoryTablePlace(self.services.warehouse, order.definition.destination)
        yield self.process.around_table(place)

    @asynccontextmanager
    async def open_whole(self, order: RunDefinition) -> AsyncIterator[WholeTable]:
        whole: WholeTable = MemoryWholeTable(self.services.warehouse, order.definition.destination)
        yield self.process.around_table(whole)
