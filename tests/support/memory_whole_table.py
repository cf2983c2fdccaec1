"""All rows of a table in memory at once. ``tests/contract/table`` runs one suite on it, and on Spark with Iceberg."""

import asyncio
import json
from collections.abc import Mapping

from libs.common.contracts.definition import Destination
from libs.common.ledger.model.batches import NO_SNAPSHOT
from services.executor.ports import Copy
from services.executor.whole_table_ports import RowsOf
from tests.support.memory_warehouse import Iceberg, Warehouse


class MemoryWholeTable:
    """A ``services.executor.whole_table_ports.WholeTable``."""

    def __init__(self, warehouse: Warehouse, destination: Destination) -> None:
        self._warehouse = warehouse
        self._to = destination

    async def can_stage(self) -> bool:
        await asyncio.sleep(0)
        self._table(None)
        return True

    async def current(self, name: str | None = None) -> int:
        await asyncio.sleep(0)
        ancestry = self._table(name).ancestry
        return ancestry[-1] if ancestry else NO_SNAPSHOT

    async def has(self, snapshot_id: int) -> bool:
        await asyncio.sleep(0)
        return snapshot_id == NO_SNAPSHOT or snapshot_id in self._table(None).snapshots

    async def parent(self, snapshot_id: int) -> int:
        await asyncio.sleep(0)
        parent = self._table(None).staged(snapshot_id).parent
        return NO_SNAPSHOT if parent is None else parent

    async def count(self, rows: RowsOf) -> int:
        await asyncio.sleep(0)
        return len(self._rows(rows))

    async def stage(self, rows: RowsOf, wap_id: str, properties: Mapping[str, str]) -> Copy:
        await asyncio.sleep(0)
        table = self._table(None)
        columns = {f.name for f in table.schema.fields}
        wanted = [{k: v for k, v in json.loads(row).items() if k in columns} for row in self._rows(rows)]
        written = [json.dumps(row, sort_keys=True) for row in wanted]
        staged = table.write(wap_id, written, takes_out_all=True, properties=properties)
        return Copy(staged.id, NO_SNAPSHOT if staged.parent is None else staged.parent)

    def _rows(self, rows: RowsOf) -> list[str]:
        return [] if rows.snapshot_id == NO_SNAPSHOT else self._table(rows.name).rows(rows.snapshot_id)

    def _table(self, name: str | None) -> Iceberg:
        to = self._to if name is None else self._to.model_copy(update={"table": name})
        return self._warehouse.table(to.identifier)
