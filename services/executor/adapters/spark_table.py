"""A ``Table`` on Spark Connect and Iceberg: one batch's session, and the statements of the commit protocol."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import uuid4

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation

from libs.common.contracts.definition import Destination
from libs.common.errors import Permanent
from libs.common.ledger.model import Column, FileVersion
from libs.common.storage.definitions import RunDefinition
from services.executor.adapters import iceberg_sql, staging
from services.executor.adapters.spark_errors import is_field_there_already, is_table_missing, translate
from services.executor.adapters.spark_sessions import BatchSession, SessionKey, SparkSessions
from services.executor.domain.audit import Staged
from services.executor.domain.schema import Struct, sql, struct_from_json
from services.executor.domain.schema_change import Addition
from services.executor.ports import Published, Table

T = TypeVar("T")

_WAP_ID = "spark.wap.id"
# A single partition of this size holds a whole file, so a line's position in it is its number in the file.
_WHOLE_FILE_BYTES = 2**31 - 1


class SparkTables:
    """Opens tables for batches. ``clusters`` maps cluster ids to Spark Connect URLs."""

    def __init__(self, sessions: SparkSessions, clusters: Mapping[str, str]) -> None:
        self._sessions = sessions
        self._clusters = clusters

    @asynccontextmanager
    async def open(self, order: RunDefinition) -> AsyncIterator[Table]:
        """The destination table of a run, in a session of its own until the block ends.

        Raises:
            Permanent: ``unknown_cluster``.
            Temporary: ``spark_unreachable``.
        """
        url = self._clusters.get(order.definition.cluster_id)
        if url is None:
            raise Permanent(
                f"this executor knows no cluster {order.definition.cluster_id!r}",
                code="unknown_cluster",
                hint=f"known clusters: {', '.join(sorted(self._clusters))}; set AUTOLOADER_CLUSTERS",
            )
        key = SessionKey(url, order.definition.source.bucket, order.credentials)
        async with self._sessions.borrow(key) as session:
            yield SparkTable(session, url, order.definition.destination)


class SparkTable:
    """See ``ports.Table``."""

    def __init__(self, session: BatchSession, url: str, destination: Destination) -> None:
        self._session = session
        self._spark = session.spark
        self._url = url
        self._to = destination

    async def schema(self) -> Struct | None:
        return await self._run(self._schema_if_any)

    async def columns(self) -> tuple[Column, ...]:
        schema = await self._run(self._schema)
        return tuple(Column(f.name, sql(f.type)) for f in schema.fields)

    async def create(self, schema: Struct) -> Struct:
        def work() -> Struct:
            self._sql(iceberg_sql.create_namespace(self._to))
            self._sql(iceberg_sql.create_table(self._to, schema))
            return self._schema()

        return await self._run(work)

    async def add(self, additions: Sequence[Addition]) -> Struct:
        def work() -> Struct:
            for addition in additions:
                try:
                    self._sql(iceberg_sql.add_columns(self._to, [addition]))
                except Exception as e:
                    if not is_field_there_already(e):
                        raise
                    self._sql(iceberg_sql.refresh(self._to))
            return self._schema()

        return await self._run(work)

    async def infer(self, files: Sequence[FileVersion]) -> Struct:
        def work() -> Struct:
            reader = self._spark.read.option("recursiveFileLookup", "true").option(
                "columnNameOfCorruptRecord", "_autoloader_corrupt"
            )
            found = struct_from_json(reader.json([staging.exact_path(f) for f in files]).schema.jsonValue())
            return Struct(tuple(f for f in found.fields if f.name != "_autoloader_corrupt"))

        return await self._run(work)

    async def stage(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> Staged:
        def work() -> Staged:
            stage_id = str(uuid4())
            watch = Observation()
            parsed = staging.observe(staging.parse(staging.read_lines(self._spark, files), schema), watch, len(files))
            self._append_staged(staging.rows_of(parsed, schema), wap_id, properties, stage_id)
            snapshot_id, added = self._staged_snapshot(stage_id)
            seen = watch.get
            return Staged(
                snapshot_id=snapshot_id,
                added_records=added,
                reads=staging.reads(seen, files),
                unknown_fields=staging.unknown_fields(seen, files),
                stray_lines=int(seen["stray"]),
            )

        return await self._run(work)

    async def stage_burn(self, wap_id: str, properties: Mapping[str, str]) -> int:
        def work() -> int:
            stage_id = str(uuid4())
            self._append_staged(self._spark.table(self._to.identifier).limit(0), wap_id, properties, stage_id)
            return self._staged_snapshot(stage_id)[0]

        return await self._run(work)

    async def publish(self, snapshot_id: int) -> None:
        await self._run(lambda: self._sql(iceberg_sql.cherry_pick(self._to, snapshot_id)))

    async def published(self, wap_id: str) -> Published | None:
        def work() -> Published | None:
            try:
                self._sql(iceberg_sql.refresh(self._to))
                found = self._spark.sql(iceberg_sql.published_snapshots(self._to, wap_id)).collect()
            except Exception as e:
                if is_table_missing(e):
                    return None
                raise
            if not found:
                return None
            summary, source = found[0]["summary"], found[0]["source"] or {}
            return Published(
                snapshot_id=int(found[0]["snapshot_id"]),
                is_burn="true" in (summary.get("autoloader.burn"), source.get("autoloader.burn")),
                bytes_written=int(summary.get("added-files-size", 0)),
            )

        return await self._run(work)

    async def first_bad_line(self, file: FileVersion, schema: Struct) -> int | None:
        def work() -> int | None:
            self._spark.conf.set("spark.sql.files.maxPartitionBytes", str(_WHOLE_FILE_BYTES))
            try:
                # A file that is too large for one partition has no line numbers to offer.
                if file.size_bytes > _WHOLE_FILE_BYTES:
                    return None
                lines = staging.read_lines(self._spark, [file]).withColumn(
                    "line", F.monotonically_increasing_id() + F.lit(1)
                )
                first = staging.parse(lines, schema).where("bad").agg(F.min("line").alias("line")).collect()
                return None if first[0]["line"] is None else int(first[0]["line"])
            finally:
                self._spark.conf.unset("spark.sql.files.maxPartitionBytes")

        return await self._run(work)

    # --- statements; called in the session's thread ---------------------------------------------------------

    def _schema(self) -> Struct:
        return struct_from_json(self._spark.table(self._to.identifier).schema.jsonValue())

    def _schema_if_any(self) -> Struct | None:
        try:
            self._sql(iceberg_sql.refresh(self._to))
            schema = self._schema()
        except Exception as e:
            if is_table_missing(e):
                return None
            raise
        if self._spark.sql(iceberg_sql.show_properties(self._to)).collect()[0]["value"] != "true":
            self._sql(iceberg_sql.enable_wap(self._to))
        return schema

    def _append_staged(self, rows: DataFrame, wap_id: str, properties: Mapping[str, str], stage_id: str) -> None:
        self._spark.conf.set(_WAP_ID, wap_id)
        try:
            writer = rows.writeTo(self._to.identifier)
            for name, value in {**properties, "autoloader.stage": stage_id}.items():
                writer = writer.option(f"snapshot-property.{name}", value)
            writer.append()
        finally:
            # A session that still has a wap id would stage whatever comes next, maintenance included.
            self._spark.conf.unset(_WAP_ID)

    def _staged_snapshot(self, stage_id: str) -> tuple[int, int]:
        self._sql(iceberg_sql.refresh(self._to))
        # Spark Connect may have run the write twice (a reattach after a server restart): then there are two equal
        # copies, and either will do.
        found = self._spark.sql(iceberg_sql.staged_snapshot(self._to, stage_id)).collect()[0]
        return int(found["snapshot_id"]), int(found["summary"].get("added-records", 0))

    def _sql(self, statement: str) -> None:
        self._spark.sql(statement).collect()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._session.run(work)
        except Exception as e:
            raise translate(e, url=self._url, table=self._to.identifier) from e
