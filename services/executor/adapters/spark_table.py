"""A ``Table`` on Spark Connect and Iceberg: one batch's hold on it, in a session of its own.

What a call does stands in the module that it goes to: ``spark_columns`` for what the table is like, ``batch_files`` for
what is read, ``batch_snapshots`` for what is written, ``read_back`` for what is there, ``spark_quarantine`` for what
stands beside it.
"""

from collections.abc import Collection, Mapping, Sequence

from libs.common.contracts.definition import Compression
from libs.common.ids import BatchId, IngestionId
from libs.common.ledger.model.columns import Column, Evidence
from libs.common.ledger.model.files import BadRecords, FileVersion
from libs.common.schema import Struct, sql
from services.executor.adapters import read_back
from services.executor.adapters.batch_files import BatchFiles
from services.executor.adapters.batch_snapshots import BatchSnapshots
from services.executor.adapters.describing.formats import Knowledge
from services.executor.adapters.folders import Folders
from services.executor.adapters.reading.reader import Reader
from services.executor.adapters.spark_columns import SparkColumns
from services.executor.adapters.spark_quarantine import SparkQuarantine
from services.executor.adapters.table_session import TableSession
from services.executor.domain.audit import Staged
from services.executor.domain.from_keys import KeyValues
from services.executor.domain.layout import PLAIN, Layout
from services.executor.domain.replacing import FileRows
from services.executor.domain.schema_change import Addition, Widening
from services.executor.domain.story import TableStory
from services.executor.ports import Copy, History, Published


class SparkTable:
    """See ``ports.Table``."""

    def __init__(
        self,
        on: TableSession,
        reader: Reader,
        knowledge: Knowledge | None = None,
        compression: Compression | None = None,
        folders: Folders | None = None,
    ) -> None:
        self._on = on
        self._columns = SparkColumns(on)
        self._files = BatchFiles(on, reader, knowledge or Knowledge(), compression, folders)
        self._snapshots = BatchSnapshots(on, self._columns)
        self._quarantine = SparkQuarantine(on.over(on.to.quarantine), self._files)
        self.name = on.to.identifier

    # --- what the table is like ---------------------------------------------------------------------------------

    async def schema(self) -> Struct | None:
        return await self._on.run(self._columns.ready)

    async def columns(self) -> tuple[Column, ...]:
        schema = await self._on.run(self._on.schema)
        return tuple(Column(f.name, sql(f.type)) for f in schema.fields)

    async def create(self, schema: Struct, layout: Layout = PLAIN) -> Struct:
        return await self._on.run(lambda: self._columns.create(schema, layout))

    async def warnings(self) -> tuple[str, ...]:
        return await self._on.run(self._columns.warnings) if self._on.to.partitioning.parts else ()

    async def add(self, additions: Sequence[Addition]) -> Struct:
        return await self._on.run(lambda: self._columns.add(additions))

    async def widen(self, widenings: Sequence[Widening]) -> Struct:
        return await self._on.run(lambda: self._columns.widen(widenings))

    # --- what the files hold ------------------------------------------------------------------------------------

    async def infer(self, files: Sequence[FileVersion]) -> Struct:
        return await self._files.infer(files)

    async def examples(
        self, files: Sequence[FileVersion], schema: Struct, paths: Sequence[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], Evidence]:
        return await self._files.examples(files, schema, paths)

    async def misfits(self, files: Sequence[FileVersion], schema: Struct) -> Mapping[str, int]:
        return await self._files.misfits(files, schema)

    async def first_bad_line(self, file: FileVersion, schema: Struct) -> int | None:
        return await self._files.first_bad_line(file, schema)

    # --- what is written ----------------------------------------------------------------------------------------

    async def stage(
        self,
        files: Sequence[FileVersion],
        schema: Struct,
        wap_id: str,
        properties: Mapping[str, str],
        from_keys: KeyValues | None = None,
    ) -> Staged:
        def work() -> Staged:
            return self._snapshots.stage(self._files, files, schema, wap_id, properties, from_keys or {})

        def doubtful(staged: Staged) -> Sequence[FileVersion]:
            return [f for f in files if staged.is_doubtful(f)]

        def unread(staged: Staged) -> Sequence[FileVersion]:
            return [f for f in files if staged.is_unread(f)]

        return await self._files.reading(files, work, doubtful, unread)

    async def stage_replacement(
        self, rows_from: int, uris: Sequence[str], wap_id: str, properties: Mapping[str, str]
    ) -> Copy:
        return await self._on.run(lambda: self._snapshots.stage_replacement(rows_from, uris, wap_id, properties))

    async def stage_burn(self, wap_id: str, properties: Mapping[str, str]) -> int:
        return await self._on.run(lambda: self._snapshots.stage_burn(wap_id, properties))

    async def publish(self, snapshot_id: int) -> None:
        await self._on.run(lambda: self._snapshots.publish(snapshot_id))

    # --- what is there ------------------------------------------------------------------------------------------

    async def published(self, wap_id: str) -> Published | None:
        return await self._on.run(lambda: read_back.published(self._on, wap_id))

    async def history(self, ingestion_id: IngestionId) -> History:
        return await self._on.run(lambda: read_back.history(self._on, ingestion_id))

    async def remembers(self, snapshot_id: int) -> bool:
        return await self._on.run(lambda: read_back.remembers(self._on, snapshot_id))

    async def file_rows(self, uris: Sequence[str], snapshot_id: int | None = None) -> FileRows:
        return await self._on.run(lambda: read_back.file_rows(self._on, uris, snapshot_id))

    async def story(self) -> TableStory | None:
        """What all of the table's snapshots tell, read back afresh; None if there is no table."""
        return await self._on.run(lambda: read_back.story(self._on, self._quarantine.counts))

    # --- what stands beside it ----------------------------------------------------------------------------------

    async def stage_bad_records(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> Mapping[bytes, BadRecords]:
        return await self._files.reading(files, lambda: self._quarantine.stage(files, schema, wap_id, properties))

    async def staged_bad_records(self, wap_id: str, attempt: str | None) -> int | None:
        return await self._on.run(lambda: self._quarantine.staged(wap_id, attempt))

    async def publish_bad_records(self, snapshot_id: int) -> None:
        await self._on.run(lambda: self._quarantine.publish(snapshot_id))

    async def remove_bad_records(self, batch_ids: Collection[BatchId], uris: Sequence[str]) -> None:
        await self._on.run(lambda: self._quarantine.remove(batch_ids, uris))

    async def has_bad_records(self, wap_id: str) -> bool:
        return await self._on.run(lambda: self._quarantine.has(wap_id))
