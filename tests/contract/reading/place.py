"""Where files land, and what a table holds after they were loaded: as the protocol does it, without a ledger."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from libs.common.contracts.definition import FILE_PATH, Destination, Format
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.ledger.model.columns import Decisions
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct
from services.executor.adapters.describing.description import Parts
from services.executor.adapters.describing.formats import knowledge_of
from services.executor.adapters.folders import Folders
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.reading.reader import reader_of
from services.executor.adapters.spark_rescued import SparkRescued
from services.executor.adapters.spark_table import SparkTable
from services.executor.domain.audit import FileRead, Staged
from services.executor.domain.evolution import Rules
from services.executor.domain.from_keys import from_keys
from services.executor.domain.provenance import with_provenance
from services.executor.domain.schema_change import compare
from tests.contract.table.worlds import BUCKET, Spark, read_of, stage

_ROUNDS_MAX = 5


@dataclass(frozen=True)
class Loaded:
    """What became of some files: the pass that was published, and the whole table after it."""

    files: Sequence[FileVersion]
    staged: Staged
    table: pa.Table

    @property
    def reads(self) -> list[FileRead]:
        """What the pass saw of each file, in their order."""
        return [read_of(self.staged, f) for f in self.files]

    @property
    def types(self) -> dict[str, str]:
        return {f.name: str(f.type) for f in self.data.schema}

    @property
    def data(self) -> pa.Table:
        """The columns that come from the files."""
        return self.table.drop_columns([FILE_PATH])

    def rows(self, *by: str) -> list[dict[str, Any]]:
        """The rows, in the order of these columns (default: the first)."""
        return _sorted(self.data, by)

    def rows_of(self, file: FileVersion, *by: str) -> list[dict[str, Any]]:
        """As ``rows``, of one file."""
        return _sorted(self.table.filter(pc.field(FILE_PATH) == file.uri).drop_columns([FILE_PATH]), by)


def _sorted(table: pa.Table, by: Sequence[str]) -> list[dict[str, Any]]:
    names = by or table.column_names[:1]
    found: list[dict[str, Any]] = table.sort_by([(name, "ascending") for name in names]).to_pylist()
    return found


class Place:
    """A folder of the bucket, and the tables that files of it went to."""

    def __init__(self, spark: Spark, s3: Any, parts: Parts) -> None:
        self._spark = spark
        self._s3 = s3
        self._parts = parts
        self._folders = Folders(parts.objects, parts.credentials)
        self._name = f"reading_{uuid4().hex[:12]}"
        self._keys: list[str] = []
        self._tables: list[Destination] = []

    def put(self, key: str, body: bytes) -> FileVersion:
        key = f"{self._name}/{key}"
        # botocore asks for 100-continue before an empty body as well, and then waits 30 s for its next answer.
        answer = self._s3.put_object(Bucket=BUCKET, Key=key, **({"Body": body} if body else {}))
        self._keys.append(key)
        return FileVersion(BUCKET, key, answer["ETag"].strip('"'), len(body), datetime.now(UTC))

    def written_by_spark(self, query: str, format_: str) -> FileVersion:
        """The rows of a query, as the cluster itself writes them."""
        folder = f"{self._name}/spark-{len(self._keys)}"
        self._spark.sessions[0].sql(query).coalesce(1).write.format(format_).save(f"s3a://{BUCKET}/{folder}")
        written = self._s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/")["Contents"]
        self._keys += [item["Key"] for item in written]
        [one] = [item for item in written if item["Key"].endswith(format_)]
        return FileVersion(BUCKET, one["Key"], one["ETag"].strip('"'), one["Size"], one["LastModified"])

    async def found(self, table: SparkTable) -> list[tuple[Any, ...]]:
        """What a reader sees in the table."""
        rows = await asyncio.to_thread(lambda: self._spark.sessions[0].table(table.name).collect())
        return [tuple(row) for row in rows]

    def table(self, format_: Format) -> SparkTable:
        """One that is not there yet."""
        to = Destination(catalog="test_catalog", database="contract", table=f"{self._name}_{len(self._tables)}")
        self._tables.append(to)
        return self._spark.hold(
            to, format_=format_, knowledge=knowledge_of(format_, self._parts), folders=self._folders
        )

    async def folder_of(self, files: Sequence[FileVersion]) -> str | None:
        """The folder as which a table's batch of these files is read."""
        return await self._folders.filled_by(files)

    def rescued(self, format_: Format) -> SparkRescued:
        """What is rescued beside the rows of the latest table."""
        return self._spark.rescued(self._tables[-1], format_)

    async def rows(self, table: SparkTable, by: str) -> list[dict[str, Any]]:
        """All of them, in the order of a column."""
        return _sorted(await asyncio.to_thread(self._spark.sessions[0].table(table.name).toArrow), [by])

    async def load(self, format_: Format, *batches: Sequence[FileVersion]) -> Loaded:
        """Batches, one after the other, into a new table that grows with what they have. ``reads`` are the last's."""
        table = self.table(format_)
        for files in batches:
            schema = await table.schema()
            if schema is None:
                schema = await table.create(with_provenance(await table.infer(files), [FILE_PATH]))
            staged = await self.stage(table, files, schema)
            await table.publish(staged.snapshot_id)
        found = await asyncio.to_thread(self._spark.sessions[0].table(table.name).toArrow)
        return Loaded(files, staged, found)

    async def load_keyed(self, format_: Format, files: Sequence[FileVersion], *names: str, **hints: str) -> Loaded:
        """One batch into a new table, of which keys fill these columns."""
        table = self.table(format_)
        rules = Rules.of(SchemaRules(hints=hints), Decisions(), names)
        columns = await table.create(with_provenance(rules.first(await table.infer(files)), [FILE_PATH]))
        schema = rules.reading(columns)
        keys = from_keys(files, schema, f"{self._name}/")
        staged = await stage(table, files, schema, from_keys=keys.values)
        await table.publish(staged.snapshot_id)
        found = await asyncio.to_thread(self._spark.sessions[0].table(table.name).toArrow)
        return Loaded(files, staged, found)

    async def bad_records(
        self, format_: Format, files: Sequence[FileVersion], schema: Struct
    ) -> list[tuple[int, int, str]]:
        """Of each bad record the file's position, the line and the reason, as a second look finds them."""
        spark, knowledge = self._spark.sessions[0], knowledge_of(format_, self._parts)
        await knowledge.gather(files)
        origin = Origin(spark, self._spark.scheme, knowledge.known, format_.options.compression_of_all)

        def work() -> list[tuple[int, int, str]]:
            with origin.whole_files():
                records = reader_of(format_).numbered(origin, files, schema).where("bad")
                found = records.select("file", "line", "reason").orderBy("file", "line").collect()
            return [tuple(row) for row in found]

        return await asyncio.to_thread(work)

    async def stage(self, table: SparkTable, files: Sequence[FileVersion], schema: Struct) -> Staged:
        """Until all of the files' fields have a column, if they can have one."""
        for _ in range(_ROUNDS_MAX):
            staged = await stage(table, files, schema)
            carriers = [f for f in files if f.digest in staged.unknown_fields]
            change = compare(schema, await table.infer(carriers)) if carriers else None
            if change is None or not change.additions:
                return staged
            schema = await table.add(change.additions)
        raise AssertionError("the schema does not settle")

    def clean(self) -> None:
        for to in self._tables:
            self._spark.sql(f"DROP TABLE IF EXISTS {to.identifier} PURGE")
        for key in self._keys:
            self._s3.delete_object(Bucket=BUCKET, Key=key)
