"""A world for the executor in memory: ledger, warehouse, bucket, and one run. The parts pass the same contract suites
as the real ones."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.contracts.definition import (
    Definition,
    Destination,
    Format,
    MetadataColumn,
    OnError,
    Quality,
    Source,
)
from libs.common.contracts.events import FileBatchCommitted, FileBatchFailed, Problem, RunCompleted
from libs.common.ids import BatchId, IngestionId, RunId, TenantId, new_batch_id, new_ingestion_id, new_run_id
from libs.common.ledger.model.batches import BatchClaim, PlannedBatch
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState
from libs.common.schema import sql
from libs.common.storage.definitions import RunDefinition
from services.executor.commit import CommitProtocol
from services.executor.table_lanes import TableLanes
from tests.support.crash import CrashPoint
from tests.support.memory_ledger import MemoryLedger
from tests.support.memory_ledger.cancellations import cancel_run
from tests.support.memory_objects import MemoryObjects
from tests.support.memory_table import MemoryTable
from tests.support.memory_warehouse import Snapshot, Warehouse

BUCKET = "landing"
TO = Destination(catalog="lake", database="demo", table="t")
LEASE = timedelta(seconds=30)
ATTEMPTS_MAX = 12


def lines(*numbers: int, **more: object) -> bytes:
    return "".join(json.dumps({"id": n, **more}) + "\n" for n in numbers).encode()


@dataclass
class World:
    """A ledger, a warehouse and a bucket; one run whose scan is over, with one batch of all files."""

    table_type: type[MemoryTable] = MemoryTable
    now: datetime = datetime(2025, 1, 7, tzinfo=UTC)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    warehouse: Warehouse = field(default_factory=Warehouse)
    run_id: RunId = field(default_factory=new_run_id)
    ingestion_id: IngestionId = field(default_factory=new_ingestion_id)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(lambda: self.now)
        self.executor = self.ledger.executor(lease=LEASE)
        self.order = RunDefinition(
            run_id=self.run_id,
            ingestion_id=self.ingestion_id,
            tenant_id=TenantId("t"),
            generation=1,
            trigger="manual",
            definition=Definition(name="n", cluster_id="c", source=Source(path=f"s3://{BUCKET}/data/"), destination=TO),
            credentials=None,
            created_at=self.now,
        )

    def ask_for(self, *metadata_columns: MetadataColumn) -> None:
        """From now on the definition names these columns of ours."""
        to = TO.model_copy(update={"metadata_columns": metadata_columns})
        definition = self.order.definition.model_copy(update={"destination": to})
        self.order = replace(self.order, definition=definition)

    def follow(self, **schema_rules: object) -> None:
        """From now on the definition says this about the columns, in the words of the API."""
        format_ = Format.model_validate({"type": "json", "schema": schema_rules})
        definition = self.order.definition.model_copy(update={"format": format_})
        self.order = replace(self.order, definition=definition)

    def columns(self) -> dict[str, str]:
        """The table's columns and their types."""
        return {f.name: sql(f.type) for f in self.warehouse.table(TO.identifier).schema.fields}

    async def next_run(self, **bodies: bytes) -> BatchId:
        """Another run found these, each with the suffix .json, and made one batch of them."""
        self.run_id = new_run_id()
        return await self.plan(**bodies)

    async def load(self, **bodies: bytes) -> None:
        """A run of its own loads these."""
        await self.next_run(**bodies)
        await self.settle()

    def records(self) -> list[dict[str, Any]]:
        """The table's rows, those that are there first."""
        return [json.loads(row) for row in self.warehouse.rows(TO)]

    def problems(self) -> dict[str, list[Problem]]:
        """What the run told of its files, by word."""
        told: dict[str, list[Problem]] = {}
        for fact in self.ledger.facts(self.run_id):
            for problem in fact.problems if isinstance(fact, FileBatchFailed) else ():
                told.setdefault(problem.error_type, []).append(problem)
        return told

    def tolerate(self, on_error: OnError, *, count_max: int | None = None) -> None:
        """From now on the definition says this of bad records."""
        quality = Quality(on_error=on_error, bad_records_max=count_max)
        self.order = replace(self.order, definition=self.order.definition.model_copy(update={"quality": quality}))

    async def plan(self, **bodies: bytes) -> BatchId:
        """The run's scan found these, each with the suffix .json, and made one batch of them."""
        return await self.plan_for(1, **bodies)

    async def plan_for(self, generation: int, **bodies: bytes) -> BatchId:
        """As ``plan``, in this generation of the table."""
        named = {f"{name}.json": body for name, body in bodies.items()}
        [batch_id] = await self.plan_batches(named, generation=generation)
        return batch_id

    async def plan_batches(self, *batches: dict[str, bytes], generation: int = 1) -> list[BatchId]:
        """Bodies by name; several batches of one run."""
        planned = [
            PlannedBatch(
                new_batch_id(), tuple(self.objects.put(BUCKET, f"data/{name}", body) for name, body in bodies.items())
            )
            for bodies in batches
        ]
        scanner = self.ledger.scanner()
        scan = await scanner.claim(self.run_id, self.ingestion_id, generation)
        assert scan is not None
        files = tuple(f for batch in planned for f in batch.files)
        await scanner.complete(scan, Page(taken=files, batches=tuple(planned)), ())
        return [batch.id for batch in planned]

    async def reload(self, *, beside: Mapping[str, bytes] | None = None, **bodies: bytes) -> BatchId:
        """Another run found these files, which are loaded already, and is to replace their rows: one batch. Those that
        it found ``beside`` them are new, and in another one."""
        self.run_id = new_run_id()
        again, new = (
            tuple(self.objects.put(BUCKET, f"data/{name}.json", body) for name, body in found.items())
            for found in (bodies, beside or {})
        )
        planned = PlannedBatch(new_batch_id(), again, replaces_rows=True)
        others = [PlannedBatch(new_batch_id(), new)] if new else []
        scanner = self.ledger.scanner()
        scan = await scanner.claim(self.run_id, self.ingestion_id, 1)
        assert scan is not None
        await scanner.complete(scan, Page(taken=new, batches=(planned, *others)), ())
        return planned.id

    async def cancel(self) -> None:
        """Somebody cancels the run."""
        async with self.ledger.transaction():
            assert cancel_run(self.ledger, self.run_id, self.ingestion_id, 1)

    def table(self) -> MemoryTable:
        return self.table_type(self.warehouse, self.order.definition.destination, self.objects)

    async def claim(self, batch_id: BatchId) -> BatchClaim:
        claim = await self.executor.claim(batch_id)
        assert claim is not None
        return claim

    async def attempt(self, claim: BatchClaim, point: CrashPoint | None = None) -> None:
        point = point or CrashPoint()
        protocol = CommitProtocol(point.around(self.executor), point.around(self.objects), TableLanes())
        await protocol.load(claim, self.order, point.around(self.table()))

    async def settle(self) -> None:
        """What sweepers do: claim whatever is unfinished, until nothing is."""
        for _ in range(ATTEMPTS_MAX):
            self.now += LEASE + timedelta(seconds=1)
            unfinished = [b.id for b in self.ledger.batches.values() if b.state not in FINAL_BATCH_STATES]
            if not unfinished:
                return
            for batch_id in unfinished:
                await self.attempt(await self.claim(batch_id))
        raise AssertionError("the batches never end")

    def ids(self) -> Counter[int]:
        return Counter(json.loads(row)["id"] for row in self.warehouse.rows(TO))

    def states(self) -> dict[str, FileState]:
        return {
            row.version.key.removeprefix("data/").removesuffix(".json"): row.state for row in self.ledger.files.values()
        }

    def quarantined(self) -> Counter[str]:
        """The texts that stand in the quarantine."""
        return Counter(json.loads(row)["raw"] for row in self.warehouse.rows(TO.quarantine))

    def check(self, expected_ids: range | list[int], bad: Sequence[str] = ()) -> None:
        """The oracle: each row once, each bad record once in the quarantine, the counts close, the run has ended once,
        and its events have no gap."""
        assert self.ids() == Counter(expected_ids)
        assert self.quarantined() == Counter(bad)
        facts = self.ledger.facts(self.run_id)
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
        assert [isinstance(fact, RunCompleted) for fact in facts].count(True) == 1
        assert isinstance(facts[-1], RunCompleted)
        assert facts[-1].totals.records_ingested == len(list(expected_ids))
        committed = [f for f in facts if isinstance(f, FileBatchCommitted)]
        assert sum(f.records for f in committed) == len(list(expected_ids))
        assert facts[-1].totals.records_quarantined == sum(f.records_quarantined for f in committed) == len(bad)
        for batch in self.ledger.batches.values():
            wap_id = f"al1:{batch.ingestion_id}:{batch.generation}:{batch.id}"
            under = [s for s in self._current() if s.wap_id == wap_id]
            assert len(under) <= 1, "I2: a wap id occurs at most once in the ancestry"
            is_data = bool(under) and not under[0].is_burn
            assert (batch.state is BatchState.PUBLISHED) == is_data, "I4: published in the ledger and in the table"

    def _current(self) -> list[Snapshot]:
        table = self.warehouse.tables[TO.identifier]
        return [table.snapshots[number] for number in table.ancestry]
