"""Iceberg and its catalog in memory: snapshots that no reader sees, names that a table can lose, and two rules.

A wap id enters a table's ancestry once: checked at the moment of the commit, like Iceberg's cherry-pick. And a table
cannot take a name that another one has.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from libs.common.contracts.definition import Destination
from libs.common.errors import Permanent, Temporary
from libs.common.schema import Struct
from services.executor.domain.layout import PLAIN, Layout


def file_of(row: str) -> str | None:
    """The file that a row names."""
    named: str | None = json.loads(row).get("_file_path")
    return named


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: int
    parent: int | None
    wap_id: str | None
    rows: tuple[str, ...]
    is_burn: bool = False
    is_picked: bool = False
    takes_out: frozenset[str] = frozenset()
    """Files whose earlier rows are not there any more."""
    takes_out_all: bool = False
    """No earlier row is there any more."""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Iceberg:
    """One table. ``ancestry`` is the current snapshot and those before it, oldest first. No two tables of a warehouse
    share a snapshot id: ``numbers`` is the warehouse's."""

    schema: Struct
    location: str
    numbers: Iterator[int]
    layout: Layout = PLAIN
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    ancestry: list[int] = field(default_factory=list)

    def rows(self, snapshot_id: int | None = None) -> list[str]:
        """As of a snapshot, which need not be an ancestor of the current one."""
        at = snapshot_id if snapshot_id is not None else (self.ancestry[-1] if self.ancestry else None)
        lineage: list[Snapshot] = []
        while at is not None and at in self.snapshots:
            lineage.append(self.snapshots[at])
            at = lineage[-1].parent
        rows: list[str] = []
        for snapshot in reversed(lineage):
            stay = [] if snapshot.takes_out_all else [r for r in rows if file_of(r) not in snapshot.takes_out]
            rows = stay + list(snapshot.rows)
        return rows

    def current(self) -> list[Snapshot]:
        """What a reader sees the sum of, oldest first."""
        return [self.snapshots[number] for number in self.ancestry]

    def write(
        self,
        wap_id: str | None,
        rows: Sequence[str],
        *,
        is_burn: bool = False,
        takes_out: frozenset[str] = frozenset(),
        takes_out_all: bool = False,
        properties: Mapping[str, str] | None = None,
    ) -> Snapshot:
        """A new snapshot on top of the current one, not current itself. It takes out only what is there."""
        parent = self.ancestry[-1] if self.ancestry else None
        there = takes_out & {file_of(row) for row in self.rows()} if takes_out else takes_out
        snapshot = Snapshot(
            next(self.numbers), parent, wap_id, tuple(rows), is_burn, takes_out=there, takes_out_all=takes_out_all,
            properties=properties or {},
        )  # fmt: skip
        self.snapshots[snapshot.id] = snapshot
        return snapshot

    def append(self, rows: Sequence[str]) -> None:
        """What a foreign writer does."""
        self.ancestry.append(self.write(None, rows).id)

    def rewrite(self, keeps: Callable[[Mapping[str, Any]], bool]) -> None:
        """What a ``DELETE`` does: a snapshot in which some rows are not there any more."""
        for number, snapshot in self.snapshots.items():
            if number in self.ancestry:
                rows = tuple(row for row in snapshot.rows if keeps(json.loads(row)))
                self.snapshots[number] = replace(snapshot, rows=rows)
        self.append([])

    def expire(self) -> None:
        """What ``expire_snapshots(now)`` does: only the current snapshot stays. Its rows, and all before it, too."""
        rows, kept = tuple(self.rows()), self.ancestry[-1:]
        self.snapshots = {
            number: replace(self.snapshots[number], rows=rows, takes_out=frozenset(), takes_out_all=False)
            for number in kept
        }
        self.ancestry = kept

    def roll_back(self, snapshot_id: int | None) -> None:
        """Makes an ancestor current; those after it stay in the table, out of sight."""
        self.ancestry = self.ancestry[: self.ancestry.index(snapshot_id) + 1] if snapshot_id is not None else []

    def under(self, wap_id: str) -> Snapshot | None:
        return next((self.snapshots[n] for n in self.ancestry if self.snapshots[n].wap_id == wap_id), None)

    def staged(self, snapshot_id: int) -> Snapshot:
        """Raises ``Temporary`` when this table has no such snapshot."""
        if (snapshot := self.snapshots.get(snapshot_id)) is None:
            raise Temporary(f"cannot cherry-pick unknown snapshot {snapshot_id}", code="spark_failed")
        return snapshot

    def cherry_pick(self, snapshot_id: int) -> None:
        """Raises ``Temporary`` when the wap id is in the ancestry, or the snapshot is unknown."""
        snapshot = self.staged(snapshot_id)
        if snapshot.wap_id is None:
            raise Temporary(f"snapshot {snapshot_id} was not staged", code="spark_failed")
        is_on_top = snapshot.parent == (self.ancestry[-1] if self.ancestry else None)
        if snapshot.takes_out or snapshot.takes_out_all:
            # An overwrite is fast-forwarded or refused; its wap id is not looked at.
            if not is_on_top:
                raise Temporary(
                    f"Cannot cherry-pick snapshot {snapshot_id}: not append, dynamic overwrite, or fast-forward",
                    code="spark_failed",
                )
            self.ancestry.append(snapshot_id)
            return
        if self.under(snapshot.wap_id) is not None:
            raise Temporary("duplicate request to cherry pick wap id", code="spark_failed")
        if is_on_top:
            self.ancestry.append(snapshot_id)
        else:
            picked = self.write(
                snapshot.wap_id, snapshot.rows, is_burn=snapshot.is_burn, properties=snapshot.properties
            )
            self.snapshots[picked.id] = replace(picked, is_picked=True)
            self.ancestry.append(picked.id)


@dataclass
class Warehouse:
    """The tables of a catalog, by identifier. ``rows`` is what a reader sees."""

    tables: dict[str, Iceberg] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1000))

    def rows(self, destination: Destination) -> list[str]:
        table = self.tables.get(destination.identifier)
        return table.rows() if table else []

    def table(self, identifier: str) -> Iceberg:
        """Raises ``Permanent`` when there is none, as Spark does of whatever is asked of a missing table."""
        if (table := self.tables.get(identifier)) is None:
            raise Permanent(f"there is no table {identifier}", code="spark_refused")
        return table

    def create(self, to: Destination, schema: Struct, location: str | None = None, layout: Layout = PLAIN) -> Iceberg:
        """If there is none. Without a location the table gets the folder of its name."""
        named = f"s3://warehouse/{to.database}/{to.table}"
        return self.tables.setdefault(to.identifier, Iceberg(schema, location or named, self._numbers, layout))

    def drop(self, identifier: str) -> None:
        """If it is there."""
        self.tables.pop(identifier, None)

    def rename(self, identifier: str, target: str) -> None:
        """Raises ``Permanent`` when the target exists."""
        if target in self.tables:
            raise Permanent(f"there is a table {target} already", code="spark_refused")
        self.tables[target] = self.table(identifier)
        del self.tables[identifier]
