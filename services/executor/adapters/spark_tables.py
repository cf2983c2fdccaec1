"""Opens tables of the clusters that this executor knows, each in a session of its own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from libs.common.objects.ports import ObjectStore
from libs.common.storage.definitions import RunDefinition
from services.executor.adapters.clusters import url_of
from services.executor.adapters.describing.description import Parts
from services.executor.adapters.describing.formats import knowledge_of
from services.executor.adapters.folders import Folders
from services.executor.adapters.reading.reader import reader_of
from services.executor.adapters.spark_rescued import SparkRescued
from services.executor.adapters.spark_sessions import SessionKey, SparkSessions
from services.executor.adapters.spark_table import SparkTable
from services.executor.adapters.spark_table_place import SparkTablePlace
from services.executor.adapters.spark_whole_table import SparkWholeTable
from services.executor.adapters.table_session import TableSession
from services.executor.domain.story import TableStory
from services.executor.ports import Table
from services.executor.whole_table_ports import RescuedRows, TablePlace, WholeTable


class SparkTables:
    """``clusters`` maps cluster ids to Spark Connect URLs; ``objects`` is where files say what they hold, if their
    format does."""

    def __init__(self, sessions: SparkSessions, clusters: Mapping[str, str], objects: ObjectStore) -> None:
        self._sessions = sessions
        self._clusters = clusters
        self._objects = objects

    @asynccontextmanager
    async def open(self, order: RunDefinition) -> AsyncIterator[Table]:
        """The destination table of a run, in a session of its own until the block ends.

        Raises:
            Permanent: ``unknown_cluster``.
            Temporary: ``spark_unreachable``.
        """
        async with self._borrow(order) as on:
            yield self._table(on, order)

    @asynccontextmanager
    async def open_place(self, order: RunDefinition) -> AsyncIterator[TablePlace]:
        """The name under which the table stands. Raises as ``open``."""
        async with self._borrow(order) as on:
            yield SparkTablePlace(on)

    @asynccontextmanager
    async def open_whole(self, order: RunDefinition) -> AsyncIterator[WholeTable]:
        """All of its rows. Raises as ``open``."""
        async with self._borrow(order) as on:
            yield SparkWholeTable(on)

    @asynccontextmanager
    async def open_rescued(self, order: RunDefinition) -> AsyncIterator[RescuedRows]:
        """What was rescued beside its rows. Raises as ``open``."""
        async with self._borrow(order) as on:
            yield SparkRescued(on, order.definition.format)

    async def story(self, order: RunDefinition) -> TableStory | None:
        """What the destination table's snapshots tell; None if there is no table. Raises as ``open``."""
        async with self._borrow(order) as on:
            return await self._table(on, order).story()

    def _table(self, on: TableSession, order: RunDefinition) -> SparkTable:
        format_ = order.definition.format
        knowledge = knowledge_of(format_, Parts(self._objects, order.credentials))
        folders = Folders(self._objects, order.credentials)
        return SparkTable(
            on,
            reader_of(format_),
            knowledge,
            format_.options.compression_of_all,
            folders,
        )

    @asynccontextmanager
    async def _borrow(self, order: RunDefinition) -> AsyncIterator[TableSession]:
        url = url_of(order.definition.cluster_id, self._clusters)
        async with self._sessions.borrow(SessionKey(url, order.definition.source.bucket, order.credentials)) as session:
            yield TableSession(session, url, order.definition.destination)
