"""A ``WholeTable`` on Spark Connect and Iceberg: all rows of a table, counted and replaced at once."""

from collections.abc import Callable, Mapping
from typing import TypeVar
from uuid import uuid4

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F

from libs.common.contracts.definition import Destination
from libs.common.errors import Temporary
from libs.common.ledger.model import NO_SNAPSHOT
from libs.common.schema import Array, Map, Struct, Type, sql, struct_from_json
from services.executor.adapters import iceberg_sql
from services.executor.adapters.spark_errors import translate
from services.executor.adapters.spark_sessions import BatchSession
from services.executor.ports import Copy, RowsOf

T = TypeVar("T")
_WAP_ID = "spark.wap.id"


class SparkWholeTable:
    """See ``ports.WholeTable``."""

    def __init__(self, session: BatchSession, url: str, destination: Destination) -> None:
        self._session = session
        self._spark = session.spark
        self._url = url
        self._to = destination

    async def can_stage(self) -> bool:
        def work() -> bool:
            rows = self._spark.sql(iceberg_sql.show_properties(self._to)).collect()
            return {row["key"]: row["value"] for row in rows}.get(iceberg_sql.WAP_ENABLED) == "true"

        return await self._run(work)

    async def current(self, name: str | None = None) -> int:
        def work() -> int:
            self._sql(iceberg_sql.refresh(self._named(name)))
            found = self._spark.sql(iceberg_sql.current_snapshot(self._named(name))).collect()
            return int(found[0]["snapshot_id"]) if found else NO_SNAPSHOT

        return await self._run(work)

    async def has(self, snapshot_id: int) -> bool:
        def work() -> bool:
            self._sql(iceberg_sql.refresh(self._to))
            return bool(self._spark.sql(iceberg_sql.has_snapshot(self._to, snapshot_id)).collect())

        return snapshot_id == NO_SNAPSHOT or await self._run(work)

    async def parent(self, snapshot_id: int) -> int:
        def work() -> int:
            self._sql(iceberg_sql.refresh(self._to))
            [row] = self._spark.sql(iceberg_sql.parent_of(self._to, snapshot_id)).collect()
            return NO_SNAPSHOT if row["parent_id"] is None else int(row["parent_id"])

        return await self._run(work)

    async def count(self, rows: RowsOf) -> int:
        def work() -> int:
            self._sql(iceberg_sql.refresh(self._named(rows.name)))
            counted = self._spark.sql(iceberg_sql.count_rows(self._named(rows.name), rows.snapshot_id)).collect()
            return int(counted[0]["row_count"])

        return 0 if rows.snapshot_id == NO_SNAPSHOT else await self._run(work)

    async def stage(self, rows: RowsOf, wap_id: str, properties: Mapping[str, str]) -> Copy:
        def work() -> Copy:
            stage_id = str(uuid4())
            for table in {self._to.identifier: self._to, self._named(rows.name).identifier: self._named(rows.name)}:
                self._sql(f"REFRESH TABLE {table}")
            told = {**properties, "autoloader.stage": stage_id, iceberg_sql.WAP_ID_KEPT: wap_id}
            writer = self._rows(rows).writeTo(self._to.identifier)
            for name, value in told.items():
                writer = writer.option(f"snapshot-property.{name}", value)
            self._spark.conf.set(_WAP_ID, wap_id)
            try:
                # By a filter, not by partitions: what replaces partitions would be merged into whatever is current.
                writer.overwrite(F.lit(True))
            finally:
                self._spark.conf.unset(_WAP_ID)
            self._sql(iceberg_sql.refresh(self._to))
            found = self._spark.sql(iceberg_sql.staged_snapshot(self._to, stage_id)).collect()
            if not found:
                raise Temporary(f"the staged snapshot was removed from {self._to.identifier}", code="stage_lost")
            parent = found[0]["parent_id"]
            return Copy(int(found[0]["snapshot_id"]), NO_SNAPSHOT if parent is None else int(parent))

        return await self._run(work)

    def _rows(self, rows: RowsOf) -> DataFrame:
        """In the table's columns: a snapshot is read with those of its time."""
        table = self._spark.table(self._to.identifier)
        if rows.snapshot_id == NO_SNAPSHOT:
            return table.limit(0)
        found = self._spark.sql(iceberg_sql.rows_as_of(self._named(rows.name), rows.snapshot_id))
        here, there = (struct_from_json(frame.schema.jsonValue()) for frame in (table, found))
        return found.select(*_fields(here, there, F.col))

    def _named(self, name: str | None) -> Destination:
        return self._to if name is None else self._to.model_copy(update={"table": name})

    def _sql(self, statement: str) -> None:
        self._spark.sql(statement).collect()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._session.run(work)
        except Exception as e:
            raise translate(e, url=self._url, table=self._to.identifier) from e


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
