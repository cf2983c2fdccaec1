"""The tables of the world by generation: which one is whose, and what it holds."""

import json
from collections import Counter
from functools import cached_property

from libs.common.ids import BatchId
from libs.common.ledger.states import FileState
from services.executor.refresh import aside_name
from tests.model.world import TO, World
from tests.support.memory_ledger.tables import RefreshRow
from tests.support.memory_warehouse import Iceberg, Snapshot

_MOVED_ON = frozenset({"dropped", "created", "carried"})


class Lake:
    """A look at the tables as they are now. A generation whose table does not exist holds nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def current(self) -> int:
        """Whose table stands under the destination's name: the next generation's, as soon as the old one is moved."""
        refreshes = self._world.ledger.refreshes.values()
        return max((row.to_generation for row in refreshes if self._has_moved_on(row)), default=1)

    @cached_property
    def tables(self) -> dict[int, Iceberg]:
        """The tables that exist."""
        found = {
            row.from_generation: table
            for row in self._world.ledger.refreshes.values()
            if (table := self._world.warehouse.tables.get(_aside(row))) is not None
        }
        if (table := self._world.warehouse.tables.get(TO.identifier)) is not None:
            found[self.current] = table
        return found

    def ids(self, generation: int) -> Counter[int]:
        """Of the rows that a reader sees."""
        table = self.tables.get(generation)
        return Counter(json.loads(row)["id"] for row in table.rows()) if table else Counter()

    def batches(self, generation: int) -> set[BatchId]:
        """Batches of the generation whose rows are in its table: data, not an empty burn."""
        data = {snapshot.wap_id for snapshot in self._data(generation)}
        return {
            b.id
            for b in self._world.ledger.batches.values()
            if f"al1:{b.ingestion_id}:{b.generation}:{b.id}" in data and b.generation == generation
        }

    def generations_in(self, generation: int) -> set[int]:
        """Whose batches' rows are in the table of the generation."""
        return {int((snapshot.wap_id or "").split(":")[2]) for snapshot in self._data(generation) if snapshot.wap_id}

    def files(self, generation: int, *states: FileState) -> set[tuple[bytes, str]]:
        """The ledger's file versions of a generation, in these states."""
        return {at[2:] for at, row in self._world.ledger.files.items() if at[1] == generation and row.state in states}

    def _data(self, generation: int) -> list[Snapshot]:
        table = self.tables.get(generation)
        return [s for s in table.current() if not s.is_burn] if table else []

    def _has_moved_on(self, row: RefreshRow) -> bool:
        """By the catalog, or by the ledger: there may have been no table to move."""
        is_done = row.phase == "ended" and row.told_problem is None
        return is_done or row.phase in _MOVED_ON or _aside(row) in self._world.warehouse.tables


def _aside(row: RefreshRow) -> str:
    return f"{TO.catalog}.{TO.database}.{aside_name(TO.table, row.claimed())}"
