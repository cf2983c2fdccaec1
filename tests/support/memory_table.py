"""Iceberg in memory, as far as the commit protocol can tell: snapshots that no reader sees, and one rule.

The rule: a wap id enters a table's ancestry once. ``publish`` checks it at the moment of the commit, like Iceberg's
cherry-pick; ``PlainAppendTable`` is the negative control that does not. ``tests/contract/table`` runs one suite on
this one and on Spark with Iceberg.
"""

import asyncio
import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from libs.common.contracts.definition import Destination
from libs.common.errors import Temporary
from libs.common.ids import IngestionId
from libs.common.ledger.model import NO_SNAPSHOT, Column, FileVersion
from services.executor.domain.audit import FileRead, Staged
from services.executor.domain.schema import Array, Field, Map, Struct, Type, sql
from services.executor.domain.schema_change import Addition, compare, lacking, with_additions
from services.executor.ports import FilesUnreadable, History, Published, SourceChanged
from tests.support.memory_objects import MemoryObjects


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: int
    parent: int | None
    wap_id: str | None
    rows: tuple[str, ...]
    is_burn: bool = False
    is_picked: bool = False


@dataclass
class Warehouse:
    """The tables of a catalog, by identifier. ``rows`` is what a reader sees."""

    tables: dict[str, "Iceberg"] = field(default_factory=dict)

    def rows(self, destination: Destination) -> list[str]:
        table = self.tables.get(destination.identifier)
        return table.rows() if table else []


@dataclass
class Iceberg:
    """One table. ``ancestry`` is the current snapshot and those before it, oldest first."""

    schema: Struct
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    ancestry: list[int] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1000))

    def rows(self) -> list[str]:
        return [row for number in self.ancestry for row in self.snapshots[number].rows]

    def write(self, wap_id: str | None, rows: Sequence[str], *, is_burn: bool = False) -> Snapshot:
        """A new snapshot on top of the current one, not current itself."""
        parent = self.ancestry[-1] if self.ancestry else None
        snapshot = Snapshot(next(self._numbers), parent, wap_id, tuple(rows), is_burn)
        self.snapshots[snapshot.id] = snapshot
        return snapshot

    def append(self, rows: Sequence[str]) -> None:
        """What a foreign writer does."""
        self.ancestry.append(self.write(None, rows).id)

    def expire(self) -> None:
        """What ``expire_snapshots(now)`` does: only the current snapshot stays. Its rows, and all before it, too."""
        rows, kept = tuple(self.rows()), self.ancestry[-1:]
        self.snapshots = {number: replace(self.snapshots[number], rows=rows) for number in kept}
        self.ancestry = kept

    def roll_back(self, snapshot_id: int | None) -> None:
        """Makes an ancestor current; those after it stay in the table, out of sight."""
        self.ancestry = self.ancestry[: self.ancestry.index(snapshot_id) + 1] if snapshot_id is not None else []

    def under(self, wap_id: str) -> Snapshot | None:
        return next((self.snapshots[n] for n in self.ancestry if self.snapshots[n].wap_id == wap_id), None)

    def cherry_pick(self, snapshot_id: int) -> None:
        """Raises ``Temporary`` when the wap id is in the ancestry, or the snapshot is unknown."""
        snapshot = self.snapshots.get(snapshot_id)
        if snapshot is None or snapshot.wap_id is None:
            raise Temporary(f"cannot cherry-pick unknown snapshot {snapshot_id}", code="spark_failed")
        if self.under(snapshot.wap_id) is not None:
            raise Temporary("duplicate request to cherry pick wap id", code="spark_failed")
        if snapshot.parent == (self.ancestry[-1] if self.ancestry else None):
            self.ancestry.append(snapshot_id)
        else:
            picked = self.write(snapshot.wap_id, snapshot.rows, is_burn=snapshot.is_burn)
            self.snapshots[picked.id] = replace(picked, is_picked=True)
            self.ancestry.append(picked.id)


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

    async def create(self, schema: Struct) -> Struct:
        await asyncio.sleep(0)
        return self._warehouse.tables.setdefault(self._to.identifier, Iceberg(schema)).schema

    async def add(self, additions: Sequence[Addition]) -> Struct:
        await asyncio.sleep(0)
        self._table.schema = with_additions(self._table.schema, lacking(self._table.schema, additions))
        return self._table.schema

    async def infer(self, files: Sequence[FileVersion]) -> Struct:
        await asyncio.sleep(0)
        found: Struct = Struct()
        bodies = self._bodies(files)
        for file in files:
            for line in bodies[file.digest]:
                value = _object(line)
                if value is not None:
                    found = _merged(found, _struct(value))
        return found

    async def stage(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> Staged:
        await asyncio.sleep(0)
        if any(len(a.path) > 1 for a in compare(schema, self._table.schema).additions):
            raise Temporary("the columns changed under the batch", code="schema_changed")
        rows: list[str] = []
        reads: dict[bytes, FileRead] = {}
        unknown: dict[bytes, frozenset[str]] = {}
        bodies = self._bodies(files)
        for file in files:
            lines = bodies[file.digest]
            parsed = [_object(line) for line in lines if line.strip()]
            good = [v for v in parsed if v is not None and _is_row(schema, v)]
            names = frozenset(name for v in parsed for name in _unknown(schema, v))
            rows += [json.dumps(_known(schema, value), sort_keys=True) for value in good]
            if lines:
                reads[file.digest] = FileRead(len(lines), len(good), len(parsed) - len(good))
            if names:
                unknown[file.digest] = names
        staged = self._table.write(wap_id, rows)
        return Staged(staged.id, len(rows), reads, unknown)

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
        return Published(found.id, found.is_burn, sum(map(len, found.rows))) if found else None

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
        for number, line in enumerate(self._bodies([file])[file.digest], start=1):
            value = _object(line)
            if line.strip() and (value is None or not _is_row(schema, value)):
                return number
        return None

    @property
    def _table(self) -> Iceberg:
        return self._warehouse.tables[self._to.identifier]

    def _bodies(self, files: Sequence[FileVersion]) -> dict[bytes, list[bytes]]:
        """The lines of each file, by digest."""
        lines: dict[bytes, list[bytes]] = {}
        broken: dict[bytes, str] = {}
        for file in files:
            body = self._objects.bodies.get((file.bucket, file.key))
            if body is None:
                raise SourceChanged
            try:
                lines[file.digest] = _lines(gzip.decompress(body) if file.key.endswith(".gz") else body)
            except (OSError, EOFError, zlib.error) as error:
                broken[file.digest] = str(error)
        if broken:
            raise FilesUnreadable(broken)
        return lines


class PlainAppendTable(MemoryTable):
    """The negative control: append, and look afterwards. A suite that cannot tell it from the real one is worthless."""

    async def publish(self, snapshot_id: int) -> None:
        await asyncio.sleep(0)
        table = self._table
        staged = table.snapshots[snapshot_id]
        again = table.write(staged.wap_id, staged.rows, is_burn=staged.is_burn)
        table.ancestry.append(again.id)


def _lines(body: bytes) -> list[bytes]:
    *lines, rest = re.split(rb"\r\n|\r|\n", body.removeprefix(codecs.BOM_UTF8))
    return [*lines, rest] if rest else lines


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line.decode())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_row(schema: Struct, value: Mapping[str, Any]) -> bool:
    required = [f.name for f in schema.fields if f.required]
    return bool(schema.fields) and all(value.get(name) is not None for name in required) and _fits(schema, value)


def _fits(found: Type, value: Any) -> bool:
    """Whether a column of the type takes the value."""
    if value is None:
        return True
    match found:
        case Struct(fields=fields):
            return isinstance(value, dict) and all(_fits(f.type, value.get(f.name)) for f in fields)
        case Array(element=inner):
            return isinstance(value, list) and all(_fits(inner, v) for v in value)
        case Map(value=inner):
            return isinstance(value, dict) and all(_fits(inner, v) for v in value.values())
        case "boolean":
            return isinstance(value, bool)
        case "bigint":
            return isinstance(value, int) and not isinstance(value, bool)
        case "double":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return True


def _unknown(found: Type, value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Dotted names that the value has and the type has not."""
    match found, value:
        case Struct(), dict():
            for name, inner in value.items():
                known = found.get(name)
                if known is None:
                    yield ".".join((*path, name))
                else:
                    yield from _unknown(known.type, inner, (*path, name))
        case Array(element=element), list():
            for inner in value:
                yield from _unknown(element, inner, (*path, "element"))
        case Map(value=of), dict():
            for inner in value.values():
                yield from _unknown(of, inner, (*path, "value"))


def _known(schema: Struct, value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if schema.get(name) is not None}


def _struct(value: Mapping[str, Any]) -> Struct:
    return Struct(tuple(Field(name, _type(v)) for name, v in value.items()))


def _merged(found: Struct, more: Struct) -> Struct:
    """Every field of both, each spelling of its own, as Spark infers them; the first type of a field stays."""
    fields = {f.name: f for f in found.fields}
    for f in more.fields:
        known = fields.setdefault(f.name, f)
        if isinstance(known.type, Struct) and isinstance(f.type, Struct):
            fields[f.name] = Field(f.name, _merged(known.type, f.type))
    return Struct(tuple(fields.values()))


def _type(value: Any) -> Type:
    match value:
        case dict():
            return _struct(value)
        case list():
            return Array(_type(value[0]) if value else "string")
        case bool():
            return "boolean"
        case int():
            return "bigint"
        case float():
            return "double"
        case _:
            return "string"
