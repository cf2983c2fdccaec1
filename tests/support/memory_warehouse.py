"""Iceberg and its catalog in memory: snapshots that no reader sees, names that a table can lose, and two rules.

A wap id enters a table's ancestry once: checked at the moment of the commit, like Iceberg's cherry-pick. And a table
cannot take a name that another one has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from libs.common.contracts.definition import Destination
from libs.common.errors import Permanent, Temporary
from libs.common.schema import Struct


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: int
    parent: int | None
    wap_id: str | None
    rows: tuple[str, ...]
    is_burn: bool = False
    is_picked: bool = False


@dataclass
class Iceberg:
    """One table. ``ancestry`` is the current snapshot and those before it, oldest first. No two tables of a warehouse
    share a snapshot id: ``numbers`` is the warehouse's."""

    schema: Struct
    location: str
    numbers: Iterator[int]
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    ancestry: list[int] = field(default_factory=list)

    def rows(self) -> list[str]:
        return [row for snapshot in self.current() for row in snapshot.rows]

    def current(self) -> list[Snapshot]:
        """What a reader sees the sum of, oldest first."""
        return [self.snapshots[number] for number in self.ancestry]

    def write(self, wap_id: str | None, rows: Sequence[str], *, is_burn: bool = False) -> Snapshot:
        """A new snapshot on top of the current one, not current itself."""
        parent = self.ancestry[-1] if self.ancestry else None
        snapshot = Snapshot(next(self.numbers), parent, wap_id, tuple(rows), is_burn)
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
        if self.under(snapshot.wap_id) is not None:
            raise Temporary("duplicate request to cherry pick wap id", code="spark_failed")
        if snapshot.parent == (self.ancestry[-1] if self.ancestry else None):
            self.ancestry.append(snapshot_id)
        else:
            picked = self.write(snapshot.wap_id, snapshot.rows, is_burn=snapshot.is_burn)
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

    def create(self, to: Destination, schema: Struct, location: str | None = None) -> Iceberg:
        """If there is none. Without a location the table gets the folder of its name."""
        named = f"s3://warehouse/{to.database}/{to.table}"
        return self.tables.setdefault(to.identifier, Iceberg(schema, location or named, self._numbers))

    def rename(self, identifier: str, target: str) -> None:
        """Raises ``Permanent`` when the target exists."""
        if target in self.tables:
            raise Permanent(f"there is a table {target} already", code="spark_refused")
        self.tables[target] = self.table(identifier)
        del self.tables[identifier]
