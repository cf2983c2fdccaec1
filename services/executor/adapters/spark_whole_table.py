"""A ``WholeTable`` on Spark Connect and Iceberg: all rows of a table, counted and replaced at once."""

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F

from libs.common.ledger.model.batches import NO_SNAPSHOT
from libs.common.schema import Array, Map, Struct, Type, sql, struct_from_json
from services.executor.adapters import iceberg_sql
from services.executor.adapters.snapshots import parent_of, stage_instead
from services.executor.adapters.table_session import TableSession
from services.executor.ports import Copy
from services.executor.whole_table_ports import RowsOf


class SparkWholeTable:
    """See ``whole_table_ports.WholeTable``. Errors name the destination, whichever table they are of."""

    def __init__(self, on: TableSession) -> None:
        self._on = on

    async def can_stage(self) -> bool:
        return await self._on.run(lambda: self._on.properties().get(iceberg_sql.WAP_ENABLED) == "true")

    async def current(self, name: str | None = None) -> int:
        return await self._on.run(self._on.named(name).current)

    async def has(self, snapshot_id: int) -> bool:
        def work() -> bool:
            self._on.refresh()
            return bool(self._on.sql(iceberg_sql.has_snapshot(self._on.to, snapshot_id)))

        return snapshot_id == NO_SNAPSHOT or await self._on.run(work)

    async def parent(self, snapshot_id: int) -> int:
        def work() -> int:
            self._on.refresh()
            return parent_of(self._on, snapshot_id)

        return await self._on.run(work)

    async def count(self, rows: RowsOf) -> int:
        on = self._on.named(rows.name)

        def work() -> int:
            on.refresh()
            return on.count(rows.snapshot_id)

        return 0 if rows.snapshot_id == NO_SNAPSHOT else await self._on.run(work)

    async def stage(self, rows: RowsOf, wap_id: str, properties: Mapping[str, str]) -> Copy:
        def work() -> Copy:
            self._on.refresh()
            if rows.name is not None:
                self._on.named(rows.name).refresh()
            staged = stage_instead(self._on, self._rows(rows), wap_id, properties)
            return Copy(staged.id, staged.parent_id)

        return await self._on.run(work)

    def _rows(self, rows: RowsOf) -> DataFrame:
        """In the table's columns: a snapshot is read with those of its time."""
        table = self._on.spark.table(self._on.to.identifier)
        if rows.snapshot_id == NO_SNAPSHOT:
            return table.limit(0)
        found = self._on.spark.sql(iceberg_sql.rows_as_of(self._on.named(rows.name).to, rows.snapshot_id))
        here, there = (struct_from_json(frame.schema.jsonValue()) for frame in (table, found))
        return found.select(*_fields(here, there, F.col))


def _fields(here: Struct, there: Struct, value: Callable[[str], Column]) -> list[Column]:
    """Each field of ``here``, from the one of its name in ``there``; null where there is none."""
    columns = []
    for f in here.fields:
        old = there.get(f.name)
        column = F.lit(None).cast(sql(f.type)) if old is None else _as(value(f.name), f.type, old.type)
        columns.append(column.alias(f.name))
    return columns


def _as(value: Column, here: Type, there: Type) -> Column:
    """The value with the fields that its structs lack."""
    if here == there:
        return value
    match here, there:
        case Struct(), Struct():
            return F.when(value.isNotNull(), F.struct(*_fields(here, there, value.getField)))
        case Array(element=inner), Array(element=old):
            return F.transform(value, lambda v: _as(v, inner, old))
        case Map(value=inner), Map(value=old):
            return F.transform_values(value, lambda _, v: _as(v, inner, old))
        case _:
            return value
