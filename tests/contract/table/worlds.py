"""The tables that keep the promises of ``services.executor.ports.Table``: in memory, and on Spark with Iceberg."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

from pyspark.errors import PySparkException

from libs.common.contracts.definition import Destination, Format
from libs.common.ledger.model.files import BadRecords, FileVersion
from libs.common.schema import Field, Struct
from services.executor.adapters.describing.formats import Knowledge
from services.executor.adapters.folders import Folders
from services.executor.adapters.reading.reader import reader_of
from services.executor.adapters.spark_rescued import SparkRescued
from services.executor.adapters.spark_sessions import BatchSession, SessionKey, open_session
from services.executor.adapters.spark_table import SparkTable
from services.executor.adapters.spark_table_place import SparkTablePlace
from services.executor.adapters.spark_whole_table import SparkWholeTable
from services.executor.adapters.table_session import TableSession
from services.executor.domain.audit import FileRead, Staged
from services.executor.domain.from_keys import KeyValues
from services.executor.ports import Table
from services.executor.whole_table_ports import RescuedRows, TablePlace, WholeTable
from tests.support.memory_objects import MemoryObjects
from tests.support.memory_rescued import MemoryRescued
from tests.support.memory_table import MemoryTable, MemoryTablePlace
from tests.support.memory_warehouse import Warehouse
from tests.support.memory_whole_table import MemoryWholeTable

BUCKET = "autoloader-contract"
ID = Struct((Field("id", "bigint"),))
RUN = "7a0e"
NDJSON = Format()


def _in_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: [(value is not None, value) for value in row])


class World(Protocol):
    """One table that is not there yet, two executors' holds on it and on its name, and a bucket."""

    to: Destination
    one: Table
    other: Table
    place: TablePlace
    other_place: TablePlace
    whole: WholeTable
    other_whole: WholeTable
    rescued: RescuedRows

    def put(self, key: str, body: bytes) -> FileVersion: ...
    def delete(self, file: FileVersion) -> None: ...
    async def append(self, *ids: int) -> None:
        """What a foreign writer does."""
        ...

    async def ids(self, name: str | None = None) -> list[int]:
        """What a reader sees, of the table or of another one of its database."""
        ...

    async def records(self, *columns: str) -> list[tuple[Any, ...]]:
        """The rows' values in these columns, in order; None, where a row has none, comes first."""
        ...

    async def quarantined(self) -> list[tuple[str, int, str]]:
        """What a reader sees in the quarantine, sorted: the key as it was put, the line, and its text."""
        ...

    async def set(self, column: str, value: int) -> None:
        """Somebody writes a number into a column, in all rows."""
        ...

    async def expire(self) -> None:
        """Snapshot expiry, as hard as it can be: only the current snapshot stays."""
        ...

    async def roll_back(self, snapshot_id: int) -> None:
        """Somebody makes an ancestor current again."""
        ...


class MemoryWorld:
    """See ``World``."""

    def __init__(self) -> None:
        self.to = Destination(catalog="c", database="d", table="t")
        self.objects = MemoryObjects()
        self.warehouse = Warehouse()
        self.one: Table = MemoryTable(self.warehouse, self.to, self.objects)
        self.other: Table = MemoryTable(self.warehouse, self.to, self.objects)
        self.place: TablePlace = MemoryTablePlace(self.warehouse, self.to)
        self.other_place: TablePlace = MemoryTablePlace(self.warehouse, self.to)
        self.whole: WholeTable = MemoryWholeTable(self.warehouse, self.to)
        self.other_whole: WholeTable = MemoryWholeTable(self.warehouse, self.to)
        self.rescued: RescuedRows = MemoryRescued(self.warehouse, self.to)

    def put(self, key: str, body: bytes) -> FileVersion:
        return self.objects.put(BUCKET, key, body)

    def delete(self, file: FileVersion) -> None:
        self.objects.delete(file.bucket, file.key)

    async def append(self, *ids: int) -> None:
        self.warehouse.tables[self.to.identifier].append([json.dumps({"id": i}) for i in ids])

    async def ids(self, name: str | None = None) -> list[int]:
        to = self.to.model_copy(update={"table": name or self.to.table})
        return sorted(json.loads(row)["id"] for row in self.warehouse.rows(to))

    async def records(self, *columns: str) -> list[tuple[Any, ...]]:
        rows = [json.loads(row) for row in self.warehouse.rows(self.to)]
        return _in_order(tuple(row.get(column) for column in columns) for row in rows)

    async def quarantined(self) -> list[tuple[str, int, str]]:
        rows = [json.loads(row) for row in self.warehouse.rows(self.to.quarantine)]
        return sorted((row["file"].removeprefix(f"s3://{BUCKET}/"), row["line"], row["raw"]) for row in rows)

    async def set(self, column: str, value: int) -> None:
        table = self.warehouse.tables[self.to.identifier]
        rows = [json.dumps({**json.loads(row), column: value}) for row in table.rows()]
        table.ancestry.append(table.write(None, rows, takes_out_all=True).id)

    async def expire(self) -> None:
        self.warehouse.tables[self.to.identifier].expire()

    async def roll_back(self, snapshot_id: int) -> None:
        self.warehouse.tables[self.to.identifier].roll_back(snapshot_id)


class Spark:
    """Two sessions of a server, opened once and used by all tests in turn."""

    def __init__(self, key: SessionKey) -> None:
        self._threads = ThreadPoolExecutor(2)
        self._key = key
        self.scheme = key.scheme
        self.sessions = [open_session(key) for _ in range(2)]
        create = "CREATE NAMESPACE IF NOT EXISTS test_catalog.contract"
        try:
            self.sql(create)
        except PySparkException:  # another process made it at the same moment: then it is there
            self.sql(create)

    def hold(
        self,
        to: Destination,
        session: int = 0,
        format_: Format = NDJSON,
        knowledge: Knowledge | None = None,
        folders: Folders | None = None,
    ) -> SparkTable:
        compression = format_.options.compression_of_all
        return SparkTable(self._on(to, session), reader_of(format_), knowledge, compression, folders)

    def place(self, to: Destination, session: int = 0) -> SparkTablePlace:
        return SparkTablePlace(self._on(to, session))

    def whole(self, to: Destination, session: int = 0) -> SparkWholeTable:
        return SparkWholeTable(self._on(to, session))

    def rescued(self, to: Destination, format_: Format = NDJSON) -> SparkRescued:
        return SparkRescued(self._on(to, 0), format_)

    def sql(self, statement: str, session: int = 0) -> list[Any]:
        return list(self.sessions[session].sql(statement).collect())

    def close(self) -> None:
        for session in self.sessions:
            session.stop()
        self._threads.shutdown()

    def _on(self, to: Destination, session: int) -> TableSession:
        return TableSession(
            BatchSession(self.sessions[session], self._threads, 120, self._key.scheme), self._key.url, to
        )


class SparkWorld:
    """See ``World``; and what only the real one has."""

    def __init__(self, spark: Spark, s3: Any) -> None:
        name = f"contract_{uuid4().hex[:12]}"
        self.to = Destination(catalog="test_catalog", database="contract", table=name)
        self.spark = spark
        self.one: Table = spark.hold(self.to, 0)
        self.other: Table = spark.hold(self.to, 1)
        self.place: TablePlace = spark.place(self.to, 0)
        self.other_place: TablePlace = spark.place(self.to, 1)
        self.whole: WholeTable = spark.whole(self.to, 0)
        self.other_whole: WholeTable = spark.whole(self.to, 1)
        self.rescued: RescuedRows = spark.rescued(self.to)
        self._s3 = s3
        self._prefix = f"{name}/"
        self._put: list[str] = []

    def put(self, key: str, body: bytes) -> FileVersion:
        key = self._prefix + key
        # botocore asks for 100-continue before an empty body as well, and then waits 30 s for its next answer.
        self._s3.put_object(Bucket=BUCKET, Key=key, **({"Body": body} if body else {}))
        self._put.append(key)
        return FileVersion(BUCKET, key, uuid4().hex, len(body), datetime.now(UTC))

    def delete(self, file: FileVersion) -> None:
        self._s3.delete_object(Bucket=file.bucket, Key=file.key)

    async def append(self, *ids: int) -> None:
        rows = ", ".join(f"({i})" for i in ids)
        await self.sql(f"INSERT INTO {self.to.identifier} (id) VALUES {rows}", session=1)

    async def ids(self, name: str | None = None) -> list[int]:
        identifier = f"{self.to.catalog}.{self.to.database}.{name or self.to.table}"
        return sorted(row["id"] for row in await self.sql(f"SELECT id FROM {identifier}", session=1))

    async def records(self, *columns: str) -> list[tuple[Any, ...]]:
        names = ", ".join(columns)
        return _in_order(map(tuple, await self.sql(f"SELECT {names} FROM {self.to.identifier}", session=1)))

    async def quarantined(self) -> list[tuple[str, int, str]]:
        rows = await self.sql(f"SELECT file, line, raw FROM {self.to.quarantine.identifier}", session=1)
        prefix = f"s3://{BUCKET}/{self._prefix}"
        return sorted((row["file"].removeprefix(prefix), row["line"], row["raw"]) for row in rows)

    async def set(self, column: str, value: int) -> None:
        await self.sql(f"UPDATE {self.to.identifier} SET {column} = {value}", session=1)

    async def expire(self) -> None:
        name, later = f"{self.to.database}.{self.to.table}", datetime.now(UTC) + timedelta(days=2)
        await self.sql(
            f"CALL {self.to.catalog}.system.expire_snapshots(table => '{name}', retain_last => 1, "
            f"older_than => TIMESTAMP '{later:%Y-%m-%d %H:%M:%S}')",
            session=1,
        )

    async def roll_back(self, snapshot_id: int) -> None:
        name = f"{self.to.database}.{self.to.table}"
        await self.sql(f"CALL {self.to.catalog}.system.rollback_to_snapshot('{name}', {snapshot_id})", session=1)

    async def sql(self, statement: str, session: int = 0) -> list[Any]:
        return await asyncio.to_thread(self.spark.sql, statement, session)

    def clean(self) -> None:
        for name in (self.to.table, self.to.quarantine.table, aside(self), again(self)):
            self.spark.sql(f"DROP TABLE IF EXISTS {self.to.catalog}.{self.to.database}.{name} PURGE")
        for key in self._put:
            self._s3.delete_object(Bucket=BUCKET, Key=key)


# --- words of the suite ----------------------------------------------------------------------------------------

_numbers = count(1)


def aside(world: World) -> str:
    """Where a refresh of the suite puts the old table."""
    return f"{world.to.table}__g1"


def again(world: World) -> str:
    """Where a second one puts the table of the first."""
    return f"{world.to.table}__g2"


def a_wap_id() -> str:
    return f"al1:test:{uuid4().hex}"


def lines(*objects: dict[str, Any]) -> bytes:
    return "".join(json.dumps(o) + "\n" for o in objects).encode()


def rows(ids: Iterable[int]) -> bytes:
    return lines(*({"id": i} for i in ids))


async def stage(
    table: Table,
    files: Sequence[FileVersion],
    schema: Struct = ID,
    wap_id: str | None = None,
    from_keys: KeyValues | None = None,
) -> Staged:
    properties = {"autoloader.batch": f"b{next(_numbers)}", "autoloader.run": RUN}
    return await table.stage(files, schema, wap_id or a_wap_id(), properties, from_keys)


async def set_aside(
    table: Table, files: Sequence[FileVersion], wap_id: str, attempt: str, schema: Struct = ID
) -> Mapping[bytes, BadRecords]:
    """Stages the bad records of these files."""
    told = {"batch": wap_id.rsplit(":", 1)[1], "run": RUN, "ingestion": "i", "attempt": attempt}
    return await table.stage_bad_records(files, schema, wap_id, {f"autoloader.{k}": v for k, v in told.items()})


async def burn(table: Table, wap_id: str) -> int:
    return await table.stage_burn(wap_id, {"autoloader.burn": "true"})


async def load(world: World, *ids: int) -> None:
    """A batch goes all the way."""
    staged = await stage(world.one, [world.put(f"load-{next(_numbers)}.json", rows(ids))])
    await world.one.publish(staged.snapshot_id)


def read_of(staged: Staged, file: FileVersion) -> FileRead:
    return staged.reads.get(file.digest, FileRead())


WorldMaker = Callable[[], World]
