"""A ``Table`` on Spark Connect and Iceberg: one batch's session, and the statements of the commit protocol."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from pyspark.sql import DataFrame, Row
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation

from libs.common.contracts.definition import Compression, Destination
from libs.common.errors import Permanent, Temporary
from libs.common.ids import BatchId, IngestionId
from libs.common.ledger.model import NO_SNAPSHOT, BadRecords, Column, Evidence, FileVersion
from libs.common.logs import get_logger
from libs.common.objects.ports import ObjectStore
from libs.common.schema import Struct, sql, struct_from_json
from libs.common.storage.definitions import RunDefinition
from services.executor.adapters import creation_sql, iceberg_sql, staging
from services.executor.adapters.described import partitioning_of
from services.executor.adapters.describing.description import Parts
from services.executor.adapters.describing.formats import Knowledge, knowledge_of
from services.executor.adapters.examples import examples_in
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.reading.reader import Reader, reader_of
from services.executor.adapters.snapshots import WAP_ID, added_by, append, append_staged
from services.executor.adapters.spark_errors import (
    file_not_whole,
    first_line,
    is_change_refused,
    is_field_there_already,
    is_schema_mismatch,
    is_table_missing,
    translate,
)
from services.executor.adapters.spark_quarantine import SparkQuarantine
from services.executor.adapters.spark_sessions import BatchSession, SessionKey, SparkSessions
from services.executor.adapters.spark_table_place import SparkTablePlace
from services.executor.adapters.spark_whole_table import SparkWholeTable
from services.executor.domain.audit import Staged
from services.executor.domain.evidence import ROWS_REMOVED
from services.executor.domain.layout import PLAIN, Layout, unlike, wishes
from services.executor.domain.quarantine import ATTEMPT
from services.executor.domain.replacing import FileRows
from services.executor.domain.schema_change import Addition, Widening, lacking, unwidened
from services.executor.domain.story import Snapshot, TableStory, tell
from services.executor.ports import Copy, FilesUnreadable, History, Published, Table, TablePlace, WholeTable

T = TypeVar("T")
_log = get_logger(__name__)

_SNAPSHOT_PROPERTY = "spark.sql.iceberg.snapshot-property."
_GUARANTEE = "autoloader.guarantee"
_ADDS_MAX = 5
_LOOKS_MAX = 5
_CHECKED_MAX = 200
"""Compressed files that are read one by one after one of them turned out broken."""


class SparkTables:
    """Opens tables for batches. ``clusters`` maps cluster ids to Spark Connect URLs; ``objects`` is where files say
    what they hold, if their format does."""

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
        async with self._borrow(order) as (session, url):
            yield self._table(session, url, order)

    @asynccontextmanager
    async def open_place(self, order: RunDefinition) -> AsyncIterator[TablePlace]:
        """The name under which the table stands. Raises as ``open``."""
        async with self._borrow(order) as (session, url):
            yield SparkTablePlace(session, url, order.definition.destination)

    @asynccontextmanager
    async def open_whole(self, order: RunDefinition) -> AsyncIterator[WholeTable]:
        """All of its rows. Raises as ``open``."""
        async with self._borrow(order) as (session, url):
            yield SparkWholeTable(session, url, order.definition.destination)

    async def story(self, order: RunDefinition) -> TableStory | None:
        """What the destination table's snapshots tell; None if there is no table. Raises as ``open``."""
        async with self._borrow(order) as (session, url):
            return await self._table(session, url, order).story()

    def _table(self, session: BatchSession, url: str, order: RunDefinition) -> "SparkTable":
        to, format_ = order.definition.destination, order.definition.format
        knowledge = knowledge_of(format_, Parts(self._objects, order.credentials))
        return SparkTable(session, url, to, reader_of(format_), knowledge, format_.options.compression_of_all)

    @asynccontextmanager
    async def _borrow(self, order: RunDefinition) -> AsyncIterator[tuple[BatchSession, str]]:
        url = self._clusters.get(order.definition.cluster_id)
        if url is None:
            raise Permanent(
                f"this executor knows no cluster {order.definition.cluster_id!r}",
                code="unknown_cluster",
                hint=f"known clusters: {', '.join(sorted(self._clusters))}; set AUTOLOADER_CLUSTERS",
            )
        key = SessionKey(url, order.definition.source.bucket, order.credentials)
        async with self._sessions.borrow(key) as session:
            yield session, url


class SparkTable:
    """See ``ports.Table``.

    A table that refuses ``write.wap.enabled`` cannot stage. There a batch is read once to nowhere, for the audit, and
    its publish is *look, then append*, labelled ``effectively_once``: two executors could both look before either
    appends. The lease, and the look right before, leave that to one that is frozen in between.
    """

    def __init__(
        self,
        session: BatchSession,
        url: str,
        destination: Destination,
        reader: Reader,
        knowledge: Knowledge | None = None,
        compression: Compression | None = None,
    ) -> None:
        self._session = session
        self._spark = session.spark
        self._knowledge = knowledge or Knowledge()
        self._origin = Origin(session.spark, session.scheme, self._knowledge.known, compression)
        self._reader = reader
        self._url = url
        self._to = destination
        self._quarantine = SparkQuarantine(self._spark, self._origin, reader, destination.quarantine)
        self._can_stage = True
        self._pending: dict[int, Callable[[], None]] = {}
        self.name = destination.identifier

    async def schema(self) -> Struct | None:
        return await self._run(self._schema_if_any)

    async def columns(self) -> tuple[Column, ...]:
        schema = await self._run(self._schema)
        return tuple(Column(f.name, sql(f.type)) for f in schema.fields)

    async def create(self, schema: Struct, layout: Layout = PLAIN) -> Struct:
        def work() -> Struct:
            self._sql(iceberg_sql.create_namespace(self._to))
            self._sql(creation_sql.create_table(self._to, schema, layout))
            # Somebody else may have been faster, with a table that is not ready for staging.
            found = self._schema_if_any()
            assert found is not None
            return found

        return await self._run(work)

    async def warnings(self) -> tuple[str, ...]:
        def work() -> tuple[str, ...]:
            rows = self._spark.sql(iceberg_sql.describe_table(self._to.identifier)).collect()
            parts = partitioning_of([(row["col_name"], row["data_type"]) for row in rows], self._schema())
            return unlike(self.name, self._to, parts)

        return await self._run(work) if self._to.partitioning.parts else ()

    async def add(self, additions: Sequence[Addition]) -> Struct:
        def work() -> Struct:
            for _ in range(_ADDS_MAX):
                self._sql(iceberg_sql.refresh(self._to))
                schema = self._schema()
                missing = lacking(schema, additions)
                if not missing:
                    return schema
                try:
                    self._sql(iceberg_sql.add_columns(self._to, missing))
                except Exception as e:
                    # Somebody added one of them since we looked; the statement did nothing.
                    if not is_field_there_already(e):
                        raise
            raise Temporary(f"the columns of {self._to.identifier} keep changing", code="schema_unsettled")

        return await self._run(work)

    async def widen(self, widenings: Sequence[Widening]) -> Struct:
        def work() -> Struct:
            self._sql(iceberg_sql.refresh(self._to))
            for widening in unwidened(self._schema(), widenings):
                self._sql(iceberg_sql.change_type(self._to, widening))
            return self._schema()

        return await self._run(work)

    async def infer(self, files: Sequence[FileVersion]) -> Struct:
        def work() -> Struct:
            return self._reader.infer(self._origin, files)

        found = await self._read(files, work)
        if not found.fields and await self._knowledge.doubt(files):
            return await self._read(files, work)
        return found

    async def examples(
        self, files: Sequence[FileVersion], schema: Struct, paths: Sequence[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], Evidence]:
        def work() -> Mapping[tuple[str, ...], Evidence]:
            records = self._reader.records(self._origin, files, schema)
            return examples_in(records, schema, paths)

        return await self._read(files, work)

    async def stage(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> Staged:
        def work() -> Staged:
            stage_id = str(uuid4())
            watch = Observation()
            records = self._reader.records(self._origin, files, schema)
            watched = staging.observe(records, watch, len(files))
            run_id = properties["autoloader.run"]
            rows = staging.rows_of(watched, schema, run_id)
            try:
                if self._can_stage:
                    self._append_staged(rows, wap_id, properties, stage_id)
                else:
                    rows.write.format("noop").mode("overwrite").save()
            except Exception as e:
                if is_schema_mismatch(e) and self._schema() != schema:
                    # A field that another batch added inside a struct; new columns are filled with nulls.
                    raise Temporary(
                        f"the columns of {self._to.identifier} changed under the batch", code="schema_changed"
                    ) from e
                raise
            seen = watch.get
            if self._can_stage:
                snapshot_id, added = self._staged_snapshot(stage_id)
            else:
                again = staging.rows_of(records, schema, run_id)
                snapshot_id = self._put_off(again, wap_id, properties, stage_id)
                added = sum(read.rows for read in staging.reads(seen, files).values())
            reads = staging.reads(seen, files)
            silent = [f for f in files if f.size_bytes and f.digest not in reads]
            return Staged(
                snapshot_id=snapshot_id,
                added_records=added,
                reads=reads,
                empty=self._reader.known_empty(self._origin, silent),
                unknown_fields=staging.carried(seen, "unknown", files),
                misfits=staging.carried(seen, "misfits", files),
                stray_lines=int(seen["stray"]),
            )

        staged = await self._read(files, work)
        if await self._knowledge.doubt([f for f in files if staged.is_doubtful(f)]):
            return await self._read(files, work)
        return staged

    async def file_rows(self, uris: Sequence[str], snapshot_id: int | None = None) -> FileRows:
        def work() -> FileRows:
            if snapshot_id is not None:
                self._sql(iceberg_sql.refresh(self._to))
                return self._count(snapshot_id, uris, as_of=snapshot_id)
            for _ in range(_LOOKS_MAX):
                # A snapshot is read with the columns of its time, so the current one is read without its number, and
                # is known by it when nothing was committed between two looks.
                current = self._current()
                self._sql(iceberg_sql.refresh(self._to))
                found = self._count(current, uris)
                if current == self._current():
                    return found
            raise Temporary(f"{self.name} changes faster than it can be counted", code="table_busy")

        return await self._run(work)

    async def stage_replacement(
        self, rows_from: int, uris: Sequence[str], wap_id: str, properties: Mapping[str, str]
    ) -> Copy:
        def work() -> Copy:
            if not self._can_stage:
                raise Permanent(
                    f"{self.name} refuses staging, so rows cannot be replaced in it in one commit",
                    code="cannot_replace",
                    hint=f"let Autoloader set {iceberg_sql.WAP_ENABLED} on the table",
                )
            stage_id = str(uuid4())
            new = self._added_by(rows_from)
            view = f"autoloader_{uuid4().hex}"
            staging.replacing(self._spark, new, uris, iceberg_sql.REPLACES).createOrReplaceTempView(view)
            try:
                self._merge_staged(iceberg_sql.replace_rows(self._to, view, new.columns), wap_id, properties, stage_id)
            finally:
                self._spark.catalog.dropTempView(view)
            staged = self._staged_by(stage_id)
            return Copy(int(staged["snapshot_id"]), _id_of(staged["parent_id"]))

        return await self._run(work)

    async def stage_burn(self, wap_id: str, properties: Mapping[str, str]) -> int:
        def work() -> int:
            stage_id = str(uuid4())
            nothing = self._spark.table(self._to.identifier).limit(0)
            if not self._can_stage:
                return self._put_off(nothing, wap_id, properties, stage_id)
            self._append_staged(nothing, wap_id, properties, stage_id)
            return self._staged_snapshot(stage_id)[0]

        return await self._run(work)

    async def publish(self, snapshot_id: int) -> None:
        append = self._pending.get(snapshot_id)
        await self._run(append or (lambda: self._sql(iceberg_sql.cherry_pick(self._to, snapshot_id))))

    async def published(self, wap_id: str) -> Published | None:
        return await self._run(lambda: self._published(wap_id))

    async def history(self, ingestion_id: IngestionId) -> History:
        def work() -> History:
            self._sql(iceberg_sql.refresh(self._to))
            rows = self._spark.sql(iceberg_sql.history(self._to, ingestion_id)).collect()
            ours = [row for row in rows if row["wap_id"] is not None]
            return History(
                current=next((int(row["snapshot_id"]) for row in rows if row["wap_id"] is None), NO_SNAPSHOT),
                batches=frozenset(
                    row["wap_id"].rsplit(":", 1)[1] for row in ours if row["is_ancestor"] and not row["is_burn"]
                ),
                beside=frozenset(int(row["snapshot_id"]) for row in ours if not row["is_ancestor"]),
            )

        return await self._run(work)

    async def story(self) -> TableStory | None:
        """What all of the table's snapshots tell, read back afresh; None if there is no table."""

        def work() -> TableStory | None:
            try:
                current = self._current()  # who only asks changes no property
            except Exception as e:
                if is_table_missing(e):
                    return None
                raise
            snapshots = self._spark.sql(iceberg_sql.all_snapshots(self._to)).collect()
            return tell(
                map(_snapshot, snapshots),
                None if current == NO_SNAPSHOT else current,
                data_files=int(self._spark.sql(iceberg_sql.count_data_files(self._to)).collect()[0]["files"]),
                data_files_twice=tuple(
                    row["file_path"] for row in self._spark.sql(iceberg_sql.data_files_twice(self._to)).collect()
                ),
                quarantined=self._quarantine.counts(),
            )

        return await self._run(work)

    async def remembers(self, snapshot_id: int) -> bool:
        def work() -> bool:
            self._sql(iceberg_sql.refresh(self._to))
            if snapshot_id == NO_SNAPSHOT:
                return not self._spark.sql(iceberg_sql.cut_ancestry(self._to)).collect()
            return bool(self._spark.sql(iceberg_sql.ancestor(self._to, snapshot_id)).collect())

        return await self._run(work)

    async def first_bad_line(self, file: FileVersion, schema: Struct) -> int | None:
        def work() -> int | None:
            with self._origin.whole_files():
                records = self._reader.numbered(self._origin, [file], schema)
                first = records.where("bad").agg(F.min("line").alias("line")).collect()
            return None if first[0]["line"] is None else int(first[0]["line"])

        return await self._read([file], work)

    async def stage_bad_records(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> Mapping[bytes, BadRecords]:
        return await self._read(files, lambda: self._quarantine.stage(files, schema, wap_id, properties))

    async def staged_bad_records(self, wap_id: str, attempt: str | None) -> int | None:
        return await self._run(lambda: self._quarantine.staged(wap_id, attempt))

    async def publish_bad_records(self, snapshot_id: int) -> None:
        await self._run(lambda: self._quarantine.publish(snapshot_id))

    async def remove_bad_records(self, batch_ids: Collection[BatchId], uris: Sequence[str]) -> None:
        await self._run(lambda: self._quarantine.remove(batch_ids, uris))

    async def has_bad_records(self, wap_id: str) -> bool:
        return await self._run(lambda: self._quarantine.has(wap_id))

    # --- statements; called in the session's thread ---------------------------------------------------------

    def _schema(self) -> Struct:
        return struct_from_json(self._spark.table(self._to.identifier).schema.jsonValue())

    def _schema_if_any(self) -> Struct | None:
        try:
            rows = self._spark.sql(iceberg_sql.show_properties(self._to)).collect()
            properties = {row["key"]: row["value"] for row in rows}
            if not properties.get("format", "").startswith("iceberg/"):
                raise Permanent(
                    f"{self._to.identifier} is a view, or a table of another format than Iceberg",
                    code="invalid_destination",
                    hint="name an Iceberg table in destination, or one that does not exist yet",
                )
            if properties.get(iceberg_sql.WAP_ENABLED) != "true":
                self._can_stage = self._takes(iceberg_sql.WAP_ENABLED, "true")
            for name, value in wishes(self._to).items():
                if properties.get(name) != value:
                    self._takes(name, value)  # the rows are right without it
            self._sql(iceberg_sql.refresh(self._to))
            return self._schema()
        except Exception as e:
            if is_table_missing(e):
                return None
            raise

    def _takes(self, name: str, value: str) -> bool:
        """Whether the table has the property from now on. There are catalogs that let nobody set one."""
        try:
            self._sql(iceberg_sql.set_property(self._to, name, value))
        except Exception as e:
            if is_change_refused(e):
                _log.warning("table.property_refused", table=self.name, property=name, problem=first_line(str(e)))
                return False
            raise
        return True

    def _published(self, wap_id: str) -> Published | None:
        try:
            self._sql(iceberg_sql.refresh(self._to))
            found = self._spark.sql(iceberg_sql.published_snapshots(self._to, wap_id)).collect()
        except Exception as e:
            if is_table_missing(e):
                return None
            raise
        if not found:
            return None
        summary = found[0]["summary"]
        return Published(
            snapshot_id=int(found[0]["snapshot_id"]),
            is_burn=_is_burn(summary, found[0]["source"]),
            bytes_written=int(summary.get("added-files-size", 0)),
            guarantee="effectively_once" if _GUARANTEE in summary else "exactly_once",
            rows_removed=int((found[0]["source"] or summary).get(ROWS_REMOVED, 0)),
            attempt=(found[0]["source"] or summary).get(ATTEMPT),
        )

    def _put_off(self, rows: DataFrame, wap_id: str, properties: Mapping[str, str], stage_id: str) -> int:
        """Keeps the append for ``publish``; returns the number to publish it under, which no snapshot has."""
        number = -2 - len(self._pending)

        def look_then_append() -> None:
            if self._published(wap_id) is not None:
                raise Temporary(f"{wap_id} is in {self.name} already", code="published_already")
            ours = {"autoloader.stage": stage_id, iceberg_sql.WAP_ID_KEPT: wap_id, _GUARANTEE: "effectively_once"}
            append(rows, self._to, {**properties, **ours})

        self._pending[number] = look_then_append
        return number

    def _append_staged(self, rows: DataFrame, wap_id: str, properties: Mapping[str, str], stage_id: str) -> None:
        append_staged(self._spark, rows, self._to, wap_id, properties, stage_id)

    def _merge_staged(self, statement: str, wap_id: str, properties: Mapping[str, str], stage_id: str) -> None:
        """A statement that changes rows takes its snapshot's properties from the session."""
        told = {**properties, "autoloader.stage": stage_id, iceberg_sql.WAP_ID_KEPT: wap_id}
        conf = {WAP_ID: wap_id, **{f"{_SNAPSHOT_PROPERTY}{name}": value for name, value in told.items()}}
        try:
            for name, value in conf.items():
                self._spark.conf.set(name, value)
            self._sql(statement)
        finally:
            for name in conf:
                self._spark.conf.unset(name)

    def _count(self, snapshot_id: int, uris: Sequence[str], as_of: int | None = None) -> FileRows:
        named = self._spark.sql(iceberg_sql.rows_of_files(self._to, uris, as_of)).collect()
        counts = {row["uri"]: int(row["row_count"]) for row in named}
        return FileRows(
            snapshot_id,
            {uri: count for uri, count in counts.items() if uri is not None},
            nameless=counts.get(None, 0),
            total=int(self._spark.sql(iceberg_sql.count_rows(self._to, as_of)).collect()[0]["row_count"]),
        )

    def _current(self) -> int:
        self._sql(iceberg_sql.refresh(self._to))
        found = self._spark.sql(iceberg_sql.current_snapshot(self._to)).collect()
        return int(found[0]["snapshot_id"]) if found else NO_SNAPSHOT

    def _added_by(self, snapshot_id: int) -> DataFrame:
        self._sql(iceberg_sql.refresh(self._to))
        return added_by(self._spark, self._to, snapshot_id)

    def _staged_snapshot(self, stage_id: str) -> tuple[int, int]:
        staged = self._staged_by(stage_id)
        return int(staged["snapshot_id"]), int(staged["summary"].get("added-records", 0))

    def _staged_by(self, stage_id: str) -> Row:
        self._sql(iceberg_sql.refresh(self._to))
        # Spark Connect may have run the write twice (a reattach after a server restart): then there are two equal
        # copies, and either will do.
        found = self._spark.sql(iceberg_sql.staged_snapshot(self._to, stage_id)).collect()
        if not found:
            raise Temporary(f"the staged snapshot was removed from {self._to.identifier}", code="stage_lost")
        return found[0]

    def _sql(self, statement: str) -> None:
        self._spark.sql(statement).collect()

    def _broken_among(self, files: Sequence[FileVersion]) -> dict[bytes, str]:
        """Reads compressed files one by one, so that all the broken ones of a batch are named at once."""
        broken: dict[bytes, str] = {}
        for f in files:
            try:
                self._reader.check(self._origin, f)
            except Exception as e:  # noqa: BLE001 - whatever else is wrong with it shows in the next attempt
                found = file_not_whole(e)
                if found is not None:
                    broken[f.digest] = found[1]
        return broken

    async def _read(self, files: Sequence[FileVersion], work: Callable[[], T]) -> T:
        """As ``_run``, for work that reads these files."""
        await self._knowledge.gather(files)
        try:
            return await self._session.run(work)
        except Exception as e:
            found = file_not_whole(e)
            first = next((f for f in files if found and self._origin.seen(f) == found[0]), None)
            if found is None or first is None:
                raise translate(e, url=self._url, table=self._to.identifier) from e
            alike = [f for f in files if f is not first and _suffix(f) == _suffix(first)][:_CHECKED_MAX]
            if await self._knowledge.doubt([first, *alike]):
                return await self._read(files, work)
            others = await self._run(lambda: self._broken_among(alike))
            raise FilesUnreadable({first.digest: found[1], **others}) from e

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._session.run(work)
        except Exception as e:
            raise translate(e, url=self._url, table=self._to.identifier) from e


def _is_burn(summary: Mapping[str, str], source: Mapping[str, str] | None) -> bool:
    """A picked snapshot does not carry our mark; its source does, until snapshot expiry takes that away. What is left
    then of a burn is that it added nothing. An empty batch looks the same: its files are loaded again, as no rows."""
    if "true" in (summary.get(iceberg_sql.BURN), (source or {}).get(iceberg_sql.BURN)):
        return True
    return source is None and "source-snapshot-id" in summary and int(summary.get("added-records", 0)) == 0


def _snapshot(row: Row) -> Snapshot:
    return Snapshot(
        id=int(row["snapshot_id"]),
        parent_id=None if row["parent_id"] is None else int(row["parent_id"]),
        committed_at=datetime.fromtimestamp(row["committed_us"] / 1_000_000, UTC),
        wap_id=row["wap_id"],
        is_burn=bool(row["is_burn"]),
        rows=int(row["row_count"]),
        rows_removed=int(row["rows_removed"]),
        size_bytes=int(row["size_bytes"]),
        run_id=row["run_id"],
        files=row["files"],
        replaced=row["replaced"],
    )


def _id_of(snapshot_id: int | None) -> int:
    return NO_SNAPSHOT if snapshot_id is None else int(snapshot_id)


def _suffix(file: FileVersion) -> str:
    return file.key.rsplit(".", 1)[-1]
