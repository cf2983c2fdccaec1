"""What was rescued beside rows of a table in memory. ``tests/contract/table`` runs one suite on it, and on Spark."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from libs.common.contracts.definition import Destination
from libs.common.ledger.model.batches import NO_SNAPSHOT
from libs.common.schema import Struct
from services.executor.domain.filling import Fillable, Wanted
from services.executor.ports import Copy
from tests.support import memory_rows
from tests.support.memory_warehouse import Iceberg, Warehouse


class MemoryRescued:
    """A ``services.executor.whole_table_ports.RescuedRows``."""

    def __init__(self, warehouse: Warehouse, destination: Destination) -> None:
        self._warehouse = warehouse
        self._to = destination

    async def count(self, wanted: Wanted) -> Fillable:
        await asyncio.sleep(0)
        table = self._table
        filled: Counter[str] = Counter()
        unfit: Counter[str] = Counter()
        changed = 0
        for row in map(json.loads, table.rows()):
            values, left = _becomes(row, wanted)
            changed += bool(values)
            filled.update(values.keys())
            unfit.update(left)
        names = [f.name for f in wanted.columns]
        current = table.ancestry[-1] if table.ancestry else NO_SNAPSHOT
        told = (tuple(counts[name] for name in names) for counts in (filled, unfit))
        return Fillable(current, len(table.rows()), changed, *told)

    async def stage(self, wanted: Wanted, wap_id: str, properties: Mapping[str, str]) -> Copy:
        await asyncio.sleep(0)
        written = []
        for row in map(json.loads, self._table.rows()):
            values, _ = _becomes(row, wanted)
            written.append(json.dumps(_filled(row, values, wanted), sort_keys=True))
        staged = self._table.write(wap_id, written, takes_out_all=True, properties=properties)
        return Copy(staged.id, NO_SNAPSHOT if staged.parent is None else staged.parent)

    @property
    def _table(self) -> Iceberg:
        return self._warehouse.table(self._to.identifier)


def _becomes(row: Mapping[str, Any], wanted: Wanted) -> tuple[dict[str, Any], list[str]]:
    """What goes into the columns of a row, and the columns whose value stays rescued."""
    told = json.loads(row.get(wanted.rescued.name) or "{}")
    values: dict[str, Any] = {}
    unfit: list[str] = []
    for f in wanted.columns:
        value = told.get(f.name)
        if value is None:
            continue
        is_lost = any(memory_rows.misfits(Struct((f,)), told)) or any(memory_rows.unknown_names(f.type, value))
        if is_lost:
            unfit.append(f.name)
        elif isinstance(f.type, str) and row.get(f.name) is not None:
            return {}, unfit
        else:
            values[f.name] = value
    return values, unfit


def _filled(row: Mapping[str, Any], values: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    if not values:
        return dict(row)
    told = json.loads(row[wanted.rescued.name])
    rest = {name: value for name, value in told.items() if name not in values}
    left = None if rest.keys() == {"_file_path"} else json.dumps(rest)
    return {**row, **values, wanted.rescued.name: left}
