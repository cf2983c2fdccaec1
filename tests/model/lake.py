"""The tables of the world by generation: which one is whose, and what it holds."""

import json
from collections import Counter, defaultdict
from functools import cached_property
from uuid import UUID

from libs.common.ids import BatchId, RefreshId
from libs.common.ledger.states import FileState
from services.executor.domain.places import HOLDS_A_NAME, aside_name, between_name
from tests.model.world import TO, World
from tests.support.memory_ledger.tables import RefreshRow
from tests.support.memory_warehouse import Iceberg, Snapshot, file_of

_MOVED_ON = frozenset({"dropped", "created", "carried"})
_NOBODYS = 0
_CARRIED = frozenset({"carried", "ended"})


class Lake:
    """A look at the tables as they are now. A generation whose table does not exist holds nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._refreshes = list(world.ledger.refreshes.values())

    @cached_property
    def current(self) -> int:
        """Whose table stands under the destination's name: the next generation's, as soon as the old one is moved."""
        return max((row.to_generation for row in self._refreshes if self._has_moved_on(row)), default=1)

    @cached_property
    def tables(self) -> dict[int, Iceberg]:
        """The tables that exist, by the generation under which the ledger has their history."""
        named = {
            **{_aside(row): row.from_generation for row in self._refreshes},
            **{_between(row): old for row in self._refreshes if (old := self._brings_back(row)) is not None},
            TO.identifier: self._here,
        }
        found = {self.now(generation): table for name, generation in named.items() if (table := self._table(name))}
        for row in sorted(self._refreshes, key=_to, reverse=True):
            if row.mode == "clear_history" and self._has_moved_on(row) and self.now(row.to_generation) in found:
                found[self.now(row.from_generation)] = found[self.now(row.to_generation)]
        return found

    def sharing(self, generation: int) -> set[int]:
        """The generations that have their rows in one table: a new history begins, and the table stays."""
        return {other for other, table in self.tables.items() if table is self.tables.get(generation)}

    def now(self, generation: int) -> int:
        """What the generation is called since an undo brought its table back."""
        for row in self._refreshes:
            if row.phase in _CARRIED and row.told_problem is None and self._brings_back(row) == generation:
                return self.now(row.to_generation)
        return generation

    def is_undone(self, refresh_id: RefreshId) -> bool:
        return any(row.undoes == refresh_id and self._has_moved_on(row) for row in self._refreshes)

    def ids(self, generation: int) -> Counter[int]:
        """Of the rows that a reader sees, but for those of other generations that share the table."""
        others = self.sharing(generation) - {generation}
        rows: list[tuple[str, int | None]] = []
        for snapshot in self._data(generation):
            whose = None if (batch_id := _batch_of(snapshot)) is None else self._generation_of(batch_id)
            rows = [(row, of) for row, of in rows if file_of(row) not in snapshot.takes_out]
            rows += [(row, whose) for row in snapshot.rows]
        return Counter(json.loads(row)["id"] for row, of in rows if of not in others)

    def batches(self, generation: int) -> set[BatchId]:
        """Batches of the generation whose rows are in its table: data, not an empty burn."""
        return {id_ for id_ in self._batches_in(generation) if self._generation_of(id_) == generation}

    def generations_in(self, generation: int) -> set[int]:
        """Whose batches' rows are in the table of the generation."""
        return {self._generation_of(id_) for id_ in self._batches_in(generation)}

    @cached_property
    def quarantined(self) -> defaultdict[BatchId, Counter[str]]:
        """The texts of bad records that a reader sees, by the batch that set them aside."""
        found: defaultdict[BatchId, Counter[str]] = defaultdict(Counter)
        for row in map(json.loads, self._world.warehouse.rows(TO.quarantine)):
            found[BatchId(UUID(row["batch_id"]))][row["raw"]] += 1
        return found

    def files(self, generation: int, *states: FileState) -> set[tuple[bytes, str]]:
        """The ledger's file versions of a generation, in these states."""
        return {at[2:] for at, row in self._world.ledger.files.items() if at[1] == generation and row.state in states}

    def _batches_in(self, generation: int) -> set[BatchId]:
        return {id_ for snapshot in self._data(generation) if (id_ := _batch_of(snapshot)) is not None}

    def _generation_of(self, batch_id: BatchId) -> int:
        return self._world.ledger.batches[batch_id].generation

    def _data(self, generation: int) -> list[Snapshot]:
        table = self.tables.get(generation)
        return [s for s in table.current() if not s.is_burn] if table else []

    @cached_property
    def _here(self) -> int:
        """The generation whose table the destination's name has, as it was called when it came there. While an undo is
        on its way, nobody's: what stands there then is empty."""
        latest = max((row for row in self._refreshes if self._has_moved_on(row)), key=_to, default=None)
        if latest is None:
            return 1
        old = self._brings_back(latest)
        if old is None:
            return latest.to_generation
        assert latest.undoes is not None
        is_back = not (self._table(_between(latest)) or self._table(_aside(self._row(latest.undoes))))
        return old if is_back else _NOBODYS

    def _brings_back(self, row: RefreshRow) -> int | None:
        """Which generation's table."""
        return None if row.undoes is None else self._row(row.undoes).from_generation

    def _row(self, refresh_id: RefreshId) -> RefreshRow:
        return self._world.ledger.refreshes[refresh_id]

    def _table(self, name: str) -> Iceberg | None:
        table = self._world.warehouse.tables.get(name)
        return None if table is None or table.schema == HOLDS_A_NAME else table

    def _has_moved_on(self, row: RefreshRow) -> bool:
        """By the catalog, or by the ledger: there may have been no table to move."""
        is_done = row.phase == "ended" and row.told_problem is None
        return is_done or row.phase in _MOVED_ON or self._table(_aside(row)) is not None


def _batch_of(snapshot: Snapshot) -> BatchId | None:
    return BatchId(UUID(snapshot.wap_id.split(":")[3])) if snapshot.wap_id else None


def _to(row: RefreshRow) -> int:
    return row.to_generation


def _aside(row: RefreshRow) -> str:
    return f"{TO.catalog}.{TO.database}.{aside_name(TO.table, row.claimed())}"


def _between(row: RefreshRow) -> str:
    return f"{TO.catalog}.{TO.database}.{between_name(TO.table, row.claimed())}"
