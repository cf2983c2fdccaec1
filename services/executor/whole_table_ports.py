"""What refreshes and fillings need of tables as a whole: the names that they stand under, and all of their rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from libs.common.schema import Struct
from services.executor.domain.filling import Fillable, Wanted
from services.executor.domain.layout import PLAIN, Layout
from services.executor.ports import Copy


@dataclass(frozen=True, slots=True)
class TableFound:
    """A table as it stands under some name. ``metadata_location`` is its latest metadata file."""

    schema: Struct
    location: str
    metadata_location: str | None
    layout: Layout = PLAIN


class TablePlace(Protocol):
    """The name that an ingestion's table stands under, for a refresh. Raises as ``Table``."""

    async def look(self, name: str | None = None) -> TableFound | None:
        """The table under the destination's name, or under another one of the same database; None if there is none."""
        ...

    async def rename(self, name: str | None, to: str | None) -> None:
        """Gives a table another name in its database; None is the destination's. Refused if that name is taken: so it
        happens once, however often and by whomever it is asked for. Any exception means *unknown*: ``look``."""
        ...

    async def create(
        self, schema: Struct, layout: Layout, location: str | None = None, name: str | None = None
    ) -> None:
        """Creates an empty table under the destination's name, or another one, if there is none. Ready for staging.
        Without a location it gets the folder of its name."""
        ...

    async def drop(self, name: str) -> None:
        """Drops the table of this name with its files, if there is one."""
        ...


class RescuedRows(Protocol):
    """What was rescued beside the rows of the destination table, for those who fill columns from it. Raises as
    ``Table``."""

    async def count(self, wanted: Wanted) -> Fillable:
        """What the table could be given as it is now."""
        ...

    async def stage(self, wanted: Wanted, wap_id: str, properties: Mapping[str, str]) -> Copy:
        """Stages the table with columns filled, where a row has a value rescued that fits whole, and nothing in the
        column that would be lost. What went into a column is rescued no more. Others may commit meanwhile:
        ``parent_id`` says on what it was staged."""
        ...


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The rows of a table as of a snapshot (``NO_SNAPSHOT``: none): of the destination, or of another one (``name``) of
    its database."""

    snapshot_id: int
    name: str | None = None


class WholeTable(Protocol):
    """The rows of the destination table, all of them at once, for a swap. Raises as ``Table``."""

    async def can_stage(self) -> bool:
        """Whether the table takes snapshots that no reader sees (``write.wap.enabled``)."""
        ...

    async def current(self, name: str | None = None) -> int:
        """The current snapshot of the destination, or of another table of its database; ``NO_SNAPSHOT`` without one."""
        ...

    async def has(self, snapshot_id: int) -> bool:
        """Whether the table still has this snapshot. It always has ``NO_SNAPSHOT``."""
        ...

    async def parent(self, snapshot_id: int) -> int:
        """The snapshot that this one was made on (``NO_SNAPSHOT``: it is the first)."""
        ...

    async def count(self, rows: RowsOf) -> int: ...

    async def stage(self, rows: RowsOf, wap_id: str, properties: Mapping[str, str]) -> Copy:
        """Stages a snapshot that holds these rows and no others, in the table's columns. Others may commit meanwhile:
        ``parent_id`` says on what it was staged."""
        ...
