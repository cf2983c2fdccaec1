"""Tables that publish by plain append: what everybody writes first, and what doubles rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.storage.definitions import RunDefinition
from services.executor.adapters.reading.reader import reader_of
from services.executor.adapters.spark_sessions import SessionKey
from services.executor.adapters.spark_table import SparkTable, SparkTables
from services.executor.ports import Table


class AppendingTable(SparkTable):
    """Publishes a staged snapshot by appending its rows once more, with the properties that name its batch.

    In the event loop, on purpose: as with a statement that is on its way already, no heartbeat comes between.
    """

    async def publish(self, snapshot_id: int) -> None:
        name = self._to.identifier
        [staged] = self._spark.sql(f"SELECT summary FROM {name}.snapshots WHERE snapshot_id = {snapshot_id}").collect()
        writer = self._spark.sql(f"SELECT * FROM {name} VERSION AS OF {snapshot_id}").writeTo(name)
        for key, value in staged["summary"].items():
            if key.startswith("autoloader."):
                writer = writer.option(f"snapshot-property.{key}", value)
        writer.append()


class AppendingTables(SparkTables):
    """Opens such tables."""

    @asynccontextmanager
    async def open(self, order: RunDefinition) -> AsyncIterator[Table]:
        url = self._clusters[order.definition.cluster_id]
        key = SessionKey(url, order.definition.source.bucket, order.credentials)
        async with self._sessions.borrow(key) as session:
            definition = order.definition
            yield AppendingTable(session, url, definition.destination, reader_of(definition.format))
