"""Tables that publish by plain append: what everybody writes first, and what doubles rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.storage.definitions import RunDefinition
from services.executor.adapters.reading.reader import reader_of
from services.executor.adapters.spark_table import SparkTable
from services.executor.adapters.spark_tables import SparkTables
from services.executor.ports import Table


class AppendingTable(SparkTable):
    """Publishes a staged snapshot by appending its rows once more, with the properties that name its batch.

    In the event loop, on purpose: as with a statement that is on its way already, no heartbeat comes between.
    """

    async def publish(self, snapshot_id: int) -> None:
        name, spark = self._on.to.identifier, self._on.spark
        [staged] = spark.sql(f"SELECT summary FROM {name}.snapshots WHERE snapshot_id = {snapshot_id}").collect()
        writer = spark.sql(f"SELECT * FROM {name} VERSION AS OF {snapshot_id}").writeTo(name)
        for key, value in staged["summary"].items():
            if key.startswith("autoloader."):
                writer = writer.option(f"snapshot-property.{key}", value)
        writer.append()


class AppendingTables(SparkTables):
    """Opens such tables."""

    @asynccontextmanager
    async def open(self, order: RunDefinition) -> AsyncIterator[Table]:
        async with self._borrow(order) as on:
            yield AppendingTable(on, reader_of(order.definition.format))
