"""Tables in memory, as far as the commit protocol and a refresh can tell; and those that break a promise.

``tests/contract/table`` runs one suite on ``MemoryTable`` and ``MemoryTablePlace``, and on Spark with Iceberg.
"""

import asyncio
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from libs.common.contracts.definition import Destination
from libs.common.ddl import written_path
from libs.common.errors import Temporary
from libs.common.ids import BatchId, IngestionId
from libs.common.ledger.model.batches import NO_SNAPSHOT
from libs.common.ledger.model.columns import Column, Evidence
from libs.common.ledger.model.files import BadRecord, BadRecords, FileVersion
from libs.common.schema import Struct, sql
from services.executor.domain.audit import FileRead, Staged
from services.executor.domain.evidence import ROWS_REMOVED
from services.executor.domain.from_keys import KeyValues
from services.executor.domain.layout import PLAIN, Layout, unlike
from services.executor.domain.provenance import data_of, is_from_key, is_ours, is_rescued
from services.executor.domain.quarantine import ATTEMPT, COLUMNS, FIRST_OF_A_FILE_MAX
from services.executor.domain.replacing import FileRows
from services.executor.domain.schema_change import (
    Addition,
    Widening,
    compare,
    lacking,
    unwidened,
    with_additions,
    with_widenings,
)
from services.executor.ports import Copy, FilesUnreadable, History, Published, SourceChanged
from services.executor.whole_table_ports import TableFound
from tests.support import memory_rows
from tests.support.memory_objects import MemoryObjects
from tests.support.memory_warehouse import Iceberg, Warehouse, file_of


class MemoryTable:
    """A ``services.executor.ports.Table``. Reads the files from a ``MemoryObjects``."""

    def __init__(self, warehouse: Warehouse, destination: Destination, objects: MemoryObjects) -> None:
        self._warehouse = warehouse
        self._to = destination
        self.name = destination.identifier
        self._objects = objects

    async def schema(self) -> Struct | None:
        await asyncio.sleep(0)
        table = self._warehouse.tables.get(self._to.identifier)
        return table.schema if table else None

    async def columns(self) -> tuple[Column, ...]:
        await asyncio.sleep(0)
        return tuple(Column(f.name, sql(f.type)) for f in self._table.schema.fields)

    async def create(self, schema: Struct, layout: Layout = PLAIN) -> Struct:
        await asyncio.sleep(0)
        return self._warehouse.create(self._to, schema, layout=layout).schema

    async def warnings(self) -> tuple[str, ...]:
        await asyncio.sleep(0)
        return unlike(self.name, self._to, self._table.layout.parts)

    async def add(self, additions: Sequence[Addition]) -> Struct:
        await asyncio.sleep(0)
        self._table.schema = with_additions(self._table.schema, lacking(self._table.schema, additions))
        return self._table.schema

    async def widen(self, widenings: Sequence[Widening]) -> Struct:
        await asyncio.sleep(0)
        self._table.schema = with_widenings(self._table.schema, unwidened(self._table.schema, widenings))
        return self._table.schema

    async def infer(self, files: Sequence[FileVersion]) -> Struct:
        await asyncio.sleep(0)
        found: Struct = Struct()
        bodies = self._bodies(files)
        for file in files:
            for line in bodies[file.digest]:
                value = memory_rows.record(line)
                if value is not None:
                    found = memory_rows.merged(found, memory_rows.struct_of(value))
        return found

    async def examples(
        self, files: Sequence[FileVersion], schema: Struct, paths: Sequence[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], Evidence]:
        await asyncio.sleep(0)
        found: dict[tuple[str, ...], tuple[FileVersion, Any]] = {}
        for file, lines in ((f, self._bodies([f])[f.digest]) for f in files):
            for record in filter(None, map(memory_rows.record, lines)):
                for path in paths if memory_rows.is_row(schema, record) else ():
                    value = memory_rows.value_at(record, path)
                    is_larger = path in found and isinstance(value, int | float) and abs(value) > abs(found[path][1])
                    if value is not None and (path not in found or is_larger):
                        found[path] = (file, value)
        return {
            path: Evidence(written_path(path), file.uri, json.dumps(value, ensure_ascii=False))
            for path, (file, value) in found.items()
        }

    async def misfits(self, files: Sequence[FileVersion], schema: Struct) -> Mapping[str, int]:
        await asyncio.sleep(0)
        records = [memory_rows.record(line) for lines in self._bodies(files).values() for line in lines]
        data = data_of(schema)
        return Counter(name for record in records if record for name in memory_rows.misfits(data, record))

    async def stage(
        self,
        files: Sequence[FileVersion],
        schema: Struct,
        wap_id: str,
        properties: Mapping[str, str],
        from_keys: KeyValues | None = None,
    ) -> Staged:
        await asyncio.sleep(0)
        if any(len(a.path) > 1 for a in compare(schema, self._table.schema).additions):
            raise Temporary("the columns changed under the batch", code="schema_changed")
        data = data_of(schema)
        rows: list[str] = []
        reads: dict[bytes, FileRead] = {}
        unknown: dict[bytes, frozenset[str]] = {}
        misfits: dict[bytes, frozenset[str]] = {}
        bodies = self._bodies(files)
        for file in files:
            lines = bodies[file.digest]
            parsed = [memory_rows.record(line) for line in lines if line.strip()]
            good = [v for v in parsed if v is not None and memory_rows.is_row(schema, v)]
            names = frozenset(name for v in parsed if v is not None for name in memory_rows.unknown_names(data, v))
            ours = _provenance(schema, file, properties) | dict((from_keys or {}).get(file.digest, {}))
            rows += [json.dumps(memory_rows.row(schema, v, file.uri) | ours, sort_keys=True) for v in good]
            if lines:
                reads[file.digest] = FileRead(len(lines), len(good), len(parsed) - len(good))
            if names:
                unknown[file.digest] = names
            if bad_columns := frozenset(name for v in parsed if v for name in memory_rows.misfits(data, v)):
                misfits[file.digest] = bad_columns
        staged = self._table.write(wap_id, rows, properties=properties)
        empty = frozenset(f.digest for f in files if f.digest not in reads)
        return Staged(staged.id, len(rows), reads, unknown, empty=empty, misfits=misfits)

    async def file_rows(self, uris: Sequence[str], snapshot_id: int | None = None) -> FileRows:
        await asyncio.sleep(0)
        table = self._table
        at = snapshot_id if snapshot_id is not None else (table.ancestry[-1] if table.ancestry else NO_SNAPSHOT)
        rows = table.rows(at) if at != NO_SNAPSHOT else []
        named = Counter(file_of(row) for row in rows)
        return FileRows(at, {uri: named[uri] for uri in uris if uri in named}, named[None], len(rows))

    async def stage_replacement(
        self, rows_from: int, uris: Sequence[str], wap_id: str, properties: Mapping[str, str]
    ) -> Copy:
        await asyncio.sleep(0)
        rows = self._table.staged(rows_from).rows
        staged = self._table.write(wap_id, rows, takes_out=frozenset(uris), properties=properties)
        return Copy(staged.id, NO_SNAPSHOT if staged.parent is None else staged.parent)

    async def stage_burn(self, wap_id: str, properties: Mapping[str, str]) -> int:
        await asyncio.sleep(0)
        return self._table.write(wap_id, (), is_burn=True).id

    async def publish(self, snapshot_id: int) -> None:
        await asyncio.sleep(0)
        self._table.cherry_pick(snapshot_id)

    async def published(self, wap_id: str) -> Published | None:
        await asyncio.sleep(0)
        table = self._warehouse.tables.get(self._to.identifier)
        found = table.under(wap_id) if table else None
        if found is None:
            return None
        removed = int(found.properties.get(ROWS_REMOVED, 0))
        return Published(
            found.id,
            found.is_burn,
            sum(map(len, found.rows)),
            rows_removed=removed,
            attempt=found.properties.get(ATTEMPT),
        )

    async def history(self, ingestion_id: IngestionId) -> History:
        await asyncio.sleep(0)
        table = self._table
        ours = [s for s in table.snapshots.values() if s.wap_id and s.wap_id.startswith(f"al1:{ingestion_id}:")]
        return History(
            current=table.ancestry[-1] if table.ancestry else NO_SNAPSHOT,
            batches=frozenset(
                (s.wap_id or "").rsplit(":", 1)[1] for s in ours if s.id in table.ancestry and not s.is_burn
            ),
            beside=frozenset(s.id for s in ours if s.id not in table.ancestry),
        )

    async def remembers(self, snapshot_id: int) -> bool:
        await asyncio.sleep(0)
        table = self._table
        if snapshot_id == NO_SNAPSHOT:
            return not table.ancestry or table.snapshots[table.ancestry[0]].parent is None
        return snapshot_id in table.ancestry

    async def first_bad_line(self, file: FileVersion, schema: Struct) -> int | None:
        await asyncio.sleep(0)
        return next((number for number, _ in self._bad_lines(file, schema)), None)

    async def stage_bad_records(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> Mapping[bytes, BadRecords]:
        await asyncio.sleep(0)
        quarantine = self._warehouse.create(self._to.quarantine, COLUMNS)
        rows: list[str] = []
        found: dict[bytes, BadRecords] = {}
        for file in files:
            bad = [
                BadRecord(line, memory_rows.why_bad(raw), raw.decode(errors="replace"))
                for line, raw in self._bad_lines(file, schema)
            ]
            of = {"file": file.uri, "file_version": file.version_tag, "batch_id": properties["autoloader.batch"]}
            rows += [json.dumps({**of, "line": b.line, "raw": b.raw, "reason": b.reason}, sort_keys=True) for b in bad]
            if bad:
                found[file.digest] = BadRecords(len(bad), tuple(bad[:FIRST_OF_A_FILE_MAX]))
        quarantine.write(wap_id, rows, properties=properties)
        return found

    async def staged_bad_records(self, wap_id: str, attempt: str | None) -> int | None:
        await asyncio.sleep(0)
        quarantine = self._warehouse.tables.get(self._to.quarantine.identifier)
        staged = quarantine.snapshots.values() if quarantine else ()
        of = [s.id for s in staged if s.wap_id == wap_id and attempt in (None, s.properties.get(ATTEMPT))]
        return max(of, default=None)

    async def publish_bad_records(self, snapshot_id: int) -> None:
        await asyncio.sleep(0)
        self._warehouse.table(self._to.quarantine.identifier).cherry_pick(snapshot_id)

    async def remove_bad_records(self, batch_ids: Collection[BatchId], uris: Sequence[str]) -> None:
        await asyncio.sleep(0)
        quarantine = self._warehouse.tables.get(self._to.quarantine.identifier)
        if quarantine is not None:
            gone = {str(batch_id) for batch_id in batch_ids}
            quarantine.rewrite(lambda row: row["batch_id"] not in gone or row["file"] not in uris)

    async def has_bad_records(self, wap_id: str) -> bool:
        await asyncio.sleep(0)
        quarantine = self._warehouse.tables.get(self._to.quarantine.identifier)
        return quarantine is not None and quarantine.under(wap_id) is not None

    @property
    def _table(self) -> Iceberg:
        return self._warehouse.table(self._to.identifier)

    def _bad_lines(self, file: FileVersion, schema: Struct) -> Iterator[tuple[int, bytes]]:
        for number, line in enumerate(self._bodies([file])[file.digest], start=1):
            value = memory_rows.record(line)
            if line.strip() and (value is None or not memory_rows.is_row(schema, value)):
                yield number, line

    def _bodies(self, files: Sequence[FileVersion]) -> dict[bytes, list[bytes]]:
        """The lines of each file, by digest."""
        lines: dict[bytes, list[bytes]] = {}
        broken: dict[bytes, str] = {}
        for file in files:
            body = self._objects.bodies.get((file.bucket, file.key))
            if body is None:
                raise SourceChanged
            try:
                lines[file.digest] = memory_rows.lines(gzip.decompress(body) if file.key.endswith(".gz") else body)
            except (OSError, EOFError, zlib.error) as error:
                broken[file.digest] = str(error)
        if broken:
            raise FilesUnreadable(broken)
        return lines


def _provenance(schema: Struct, file: FileVersion, properties: Mapping[str, str]) -> dict[str, str | None]:
    """What the columns of ours that a table has say of a row of the file."""
    known = {
        "_file_path": file.uri,
        "_file_version": file.version_tag,
        "_loaded_at": "2025-01-07 00:00:00",
        "_run_id": properties["autoloader.run"],
    }
    return {f.name: known[f.name] for f in schema.fields if is_ours(f) and not (is_rescued(f) or is_from_key(f))}


class MemoryTablePlace:
    """A ``services.executor.whole_table_ports.TablePlace``."""

    def __init__(self, warehouse: Warehouse, destination: Destination) -> None:
        self._warehouse = warehouse
        self._to = destination

    async def look(self, name: str | None = None) -> TableFound | None:
        await asyncio.sleep(0)
        table = self._warehouse.tables.get(self._named(name).identifier)
        if table is None:
            return None
        metadata = f"{table.location}/metadata/{len(table.snapshots)}.json"
        return TableFound(table.schema, table.location, metadata, table.layout)

    async def rename(self, name: str | None, to: str | None) -> None:
        await asyncio.sleep(0)
        self._warehouse.rename(self._named(name).identifier, self._named(to).identifier)

    async def create(
        self, schema: Struct, layout: Layout, location: str | None = None, name: str | None = None
    ) -> None:
        await asyncio.sleep(0)
        self._warehouse.create(self._named(name), schema, location, layout)

    async def drop(self, name: str) -> None:
        await asyncio.sleep(0)
        self._warehouse.drop(self._named(name).identifier)

    def _named(self, name: str | None) -> Destination:
        return self._to if name is None else self._to.model_copy(update={"table": name})


class PlainAppendTable(MemoryTable):
    """A negative control: data is appended, whatever is there. A suite that cannot tell it from the real one is
    worthless."""

    async def publish(self, snapshot_id: int) -> None:
        await asyncio.sleep(0)
        staged = self._table.staged(snapshot_id)
        if staged.is_burn:
            self._table.cherry_pick(snapshot_id)
        else:
            self._table.ancestry.append(self._table.write(staged.wap_id, staged.rows).id)


class PaperBurnTable(MemoryTable):
    """Another one: a burn is written down, and everybody believes it, but the table still takes the data."""

    async def publish(self, snapshot_id: int) -> None:
        await asyncio.sleep(0)
        if not self._table.staged(snapshot_id).is_burn:
            self._table.cherry_pick(snapshot_id)

    async def published(self, wap_id: str) -> Published | None:
        found = await super().published(wap_id)
        if found is not None or await self.schema() is None:
            return found
        burns = [s.id for s in self._table.snapshots.values() if s.is_burn and s.wap_id == wap_id]
        return Published(burns[0], is_burn=True, bytes_written=0) if burns else None
