"""A ``RescuedRows`` on Spark Connect and Iceberg: what was rescued beside rows becomes values of their columns."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F

from libs.common.contracts.definition import Format
from libs.common.errors import Temporary
from libs.common.schema import Field, quoted
from services.executor.adapters.reading.rescued import REST, TEXT, UNFIT, read_again, value
from services.executor.adapters.snapshots import stage_change
from services.executor.adapters.table_session import TableSession
from services.executor.domain.filling import Fillable, Wanted
from services.executor.ports import Copy

_LOOKS_MAX = 5


class SparkRescued:
    """See ``whole_table_ports.RescuedRows``. ``format_`` is that of the files: of CSV, values were rescued as the texts
    that they are there."""

    def __init__(self, on: TableSession, format_: Format) -> None:
        self._on = on
        self._format = format_

    async def count(self, wanted: Wanted) -> Fillable:
        def work() -> Fillable:
            for _ in range(_LOOKS_MAX):
                # A snapshot is read with the columns of its time, and the columns that are to be filled may be newer.
                current = self._on.current()
                found = self._count(wanted, current)
                if current == self._on.current():
                    return found
            raise Temporary(f"{self._on.to.identifier} changes faster than it can be counted", code="table_busy")

        return await self._on.run(work)

    async def stage(self, wanted: Wanted, wap_id: str, properties: Mapping[str, str]) -> Copy:
        def work() -> Copy:
            self._on.refresh()
            values = {
                quoted(f.name): F.expr(f"coalesce(new.{value(n)}, {self._old(f)})")
                for n, f in enumerate(wanted.columns)
            }
            values[quoted(wanted.rescued.name)] = F.expr(f"new.{REST}")
            # Spark makes no plan for a view of the table in a MERGE of SQL.
            merge = self._becoming(wanted).alias("new").mergeInto(self._on.to.identifier, self._meets(wanted))
            update = merge.whenMatched(self._changes(wanted)).update(values)
            staged = stage_change(self._on, update.merge, wap_id, properties)
            return Copy(staged.id, staged.parent_id)

        return await self._on.run(work)

    def _count(self, wanted: Wanted, snapshot_id: int) -> Fillable:
        places = range(len(wanted.columns))
        rows = self._on.spark.table(self._on.to.identifier)
        met = rows.join(self._becoming(wanted).alias("new"), self._meets(wanted))
        changes = self._changes(wanted)
        counted = met.agg(
            F.count_if(changes).alias("rows"),
            *(F.count_if(changes & F.col(f"new.{value(n)}").isNotNull()).alias(f"filled{n}") for n in places),
            *(F.count_if(F.array_contains(UNFIT, f.name)).alias(f"unfit{n}") for n, f in enumerate(wanted.columns)),
        ).collect()[0]
        return Fillable(
            snapshot_id=snapshot_id,
            total=self._on.count(),
            rows=int(counted["rows"]),
            filled=tuple(int(counted[f"filled{n}"]) for n in places),
            unfit=tuple(int(counted[f"unfit{n}"]) for n in places),
        )

    def _becoming(self, wanted: Wanted) -> DataFrame:
        """Each text once, with what becomes of it."""
        names = F.array(*(F.lit(f.name) for f in wanted.columns))
        texts = self._on.spark.table(self._on.to.identifier).select(F.col(quoted(wanted.rescued.name)).alias(TEXT))
        about = texts.where(F.arrays_overlap(F.json_object_keys(TEXT), names)).distinct()
        return read_again(about, wanted.columns, wanted.rescued, self._format)

    def _meets(self, wanted: Wanted) -> Column:
        return F.expr(f"{self._old(wanted.rescued)} = new.{TEXT}")

    def _changes(self, wanted: Wanted) -> Column:
        """Whether a row is changed: there is something to put in, and no single value stands there already. Of an
        object or a list, what stands there is a part of what was rescued."""
        some = " OR ".join(f"new.{value(n)} IS NOT NULL" for n in range(len(wanted.columns)))
        free = (
            f"({self._old(f)} IS NULL OR new.{value(n)} IS NULL)"
            for n, f in enumerate(wanted.columns)
            if isinstance(f.type, str)
        )
        return F.expr(" AND ".join((f"({some})", *free)))

    def _old(self, column: Field) -> str:
        """What the row has there now."""
        return f"{self._on.to.identifier}.{quoted(column.name)}"
