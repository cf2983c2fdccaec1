"""The parts of a refresh that leaves the old table in its place: an empty one is built aside; when runs have loaded
it, its rows replace those of the old one in one snapshot; and the way back.

    create aside ── (runs load it) ── add columns ── stage all rows ── count ── publish ── drop what was built

What a cherry-pick is for a batch, a fast-forward is here: the staged snapshot can be published only onto the very one
that it was staged on. So a statement that arrives late, of an executor that was frozen or given up, is refused when
anybody has committed since. docs/adr/0016 has the proofs.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from libs.common.built_aside import built_name
from libs.common.errors import Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.refreshes import BuiltAside, RefreshClaim, ReplacedRows
from libs.common.storage.definitions import RunDefinition
from services.executor.domain.places import next_location
from services.executor.domain.swapping import cannot_swap, check_columns, check_rows, lacks, properties
from services.executor.ports import Published, Table
from services.executor.preparation import grown
from services.executor.publication import send
from services.executor.whole_table_ports import RowsOf, TablePlace, WholeTable

TRIES_MAX = 6
"""How often all rows are staged before the table is left to those who keep changing it."""


class Tables(Protocol):
    """Opens the destination table, the place where it stands, and all of its rows."""

    def open(self, order: RunDefinition) -> AbstractAsyncContextManager[Table]: ...
    def open_place(self, order: RunDefinition) -> AbstractAsyncContextManager[TablePlace]: ...
    def open_whole(self, order: RunDefinition) -> AbstractAsyncContextManager[WholeTable]: ...


class Ledger(Protocol):
    """What the ledger knows of a generation; see ``libs/common/ledger/swaps.py``."""

    async def rows(self, generation: int, claim: RefreshClaim) -> int: ...
    async def files(self, generation: int, claim: RefreshClaim) -> tuple[FileVersion, ...] | None: ...


class Guard(Protocol):
    """Raises ``Fenced`` when the claim is lost; see ``RefreshLedger``."""

    async def phase(self, claim: RefreshClaim) -> object: ...


@dataclass(frozen=True, slots=True)
class _Rows:
    """What shall be in the table, and how many they are."""

    of: RowsOf
    count: int


class Swaps:
    """Does a swap's part for whoever holds the claim of its refresh."""

    def __init__(self, guard: Guard, ledger: Ledger, tables: Tables) -> None:
        self._guard = guard
        self._ledger = ledger
        self._tables = tables

    async def check(self, claim: RefreshClaim, order: RunDefinition) -> None:
        """Finds out what cannot work, before anything is changed; nothing to find out about other refreshes.

        Raises:
            Permanent: codes ``cannot_swap``, ``table_missing``, ``built_table_gone``, ``built_table_differs``,
                ``columns_differ``, ``replaced_rows_gone``.
        """
        if not (claim.builds_aside or claim.replaces_all):
            return
        async with self._tables.open(order) as table, self._tables.open_whole(order) as whole:
            if await table.schema() is None:
                if claim.builds_aside:
                    return  # nothing to keep readable
                raise _table_missing(table.name)
            if not await whole.can_stage():
                raise cannot_swap(table.name)
            match claim.kept:
                case BuiltAside() as built:
                    await self._check_built(claim, order, table, whole, built)
                case ReplacedRows(snapshot_id=snapshot_id) if not await whole.has(snapshot_id):
                    raise _replaced_rows_gone(table.name, snapshot_id)

    async def build_aside(self, claim: RefreshClaim, order: RunDefinition) -> str:
        """Ends with an empty table, with the old one's columns, in a folder of its own; returns its full name."""
        to = order.definition.destination
        name = built_name(to.table, claim.id)
        async with self._tables.open_place(order) as place:
            old = await place.look()
            if old is None:
                raise _table_missing(to.identifier)
            # As the old one is, whatever the definition says by now: that is where its rows go.
            await place.create(old.schema, old.layout, next_location(old.location, claim.to_generation), name)
        failpoint("swap.after_build")
        return f"{to.catalog}.{to.database}.{name}"

    async def take_the_place(self, claim: RefreshClaim, order: RunDefinition) -> Mapping[str, Any]:
        """Ends with the wanted rows in the table, and no others; returns what the ledger keeps of it.

        Raises:
            Fenced: the claim is lost. Temporary: codes ``miscounted``, ``table_busy``: it is tried again.
            Permanent: as ``check``.
        """
        async with self._tables.open(order) as table, self._tables.open_whole(order) as whole:
            # It may be done: whoever had the claim before published, and died or lost the answer.
            found = await table.published(claim.wap_id)
            if found is None:
                rows = await self._wanted(claim, order, table, whole)
                found = await self._publish(claim, table, whole, rows)
            failpoint("swap.after_publish")
            return {
                "snapshot_id": found.snapshot_id,
                "replaced_snapshot": await whole.parent(found.snapshot_id),
                "row_count": await whole.count(RowsOf(found.snapshot_id)),
                "bytes_written": found.bytes_written,
            }

    async def clear_away(self, claim: RefreshClaim, order: RunDefinition) -> None:
        """Drops the table that was built: its rows are in the destination now, or nobody wants them. No name is used
        twice, so that a drop that comes late meets no other table."""
        if isinstance(claim.kept, BuiltAside):
            async with self._tables.open_place(order) as place:
                await place.drop(claim.kept.name)
            failpoint("swap.after_drop")

    async def _check_built(
        self, claim: RefreshClaim, order: RunDefinition, table: Table, whole: WholeTable, built: BuiltAside
    ) -> None:
        async with self._tables.open_place(order) as place:
            found = await place.look(built.name)
        if found is None:
            raise Permanent(
                f"{built.name}, which was built in the place of {table.name}, is not there any more",
                code="built_table_gone",
                hint="undo the refresh, and refresh again",
            )
        schema = await table.schema()
        assert schema is not None
        check_columns(table.name, built.name, lacks(schema, found.schema))
        counted = await whole.count(RowsOf(await whole.current(built.name), built.name))
        check_rows(built.name, counted, await self._ledger.rows(built.generation, claim), claim.ingestion_id)

    async def _wanted(self, claim: RefreshClaim, order: RunDefinition, table: Table, whole: WholeTable) -> _Rows:
        match claim.kept:
            case BuiltAside(name=name):
                await self._fit(order, table, name)
                rows = RowsOf(await whole.current(name), name)
            case ReplacedRows(snapshot_id=snapshot_id):
                rows = RowsOf(snapshot_id)
            case _:
                raise AssertionError("only a swap and its undo put rows in place")
        return _Rows(rows, await whole.count(rows))

    async def _fit(self, order: RunDefinition, table: Table, built: str) -> None:
        """What the table gets stays, whatever becomes of the swap: new columns hold nulls until its rows come."""
        async with self._tables.open_place(order) as place:
            found = await place.look(built)
        schema = await table.schema()
        if schema is None or found is None:
            raise _table_missing(table.name if schema is None else built)
        change = lacks(schema, found.schema)
        check_columns(table.name, built, change)
        await grown(table, schema, change)

    async def _publish(self, claim: RefreshClaim, table: Table, whole: WholeTable, rows: _Rows) -> Published:
        assert claim.kept is not None
        said = properties(claim, rows.count, await self._ledger.files(claim.kept.generation, claim))
        for attempt in range(TRIES_MAX):
            copy = await whole.stage(rows.of, claim.wap_id, said)
            # The copy may stand on the swap's own publish: by an executor that woke up, or by a call of ours that was
            # given up and arrived all the same. So the table is asked now; what comes later makes the copy's parent an
            # old one.
            if (found := await table.published(claim.wap_id)) is not None:
                return found
            if (counted := await whole.count(RowsOf(copy.snapshot_id))) != rows.count:
                raise Temporary(
                    f"the staged copy holds {counted:,} rows instead of {rows.count:,}",
                    code="miscounted",
                    hint="it is staged again",
                )
            # Guarded, and after the copy: whoever takes the swap over publishes on the copy's parent, after which this
            # one can never be published. Crash here: it is invisible, and stays so.
            await self._guard.phase(claim)
            failpoint("swap.before_publish")
            found, _ = await send(table, copy.snapshot_id, claim.wap_id)
            if found is not None:
                return found
            await asyncio.sleep(random.uniform(0, 0.2 * 2**attempt))
        raise Temporary(
            f"{table.name} changed each time while its rows were about to be replaced",
            code="table_busy",
            hint="let its other writers pause for a while",
        )


def _table_missing(table: str) -> Permanent:
    return Permanent(f"there is no table {table}", code="table_missing", hint="bring it back, or undo the refresh")


def _replaced_rows_gone(table: str, snapshot_id: int) -> Permanent:
    return Permanent(
        f"snapshot {snapshot_id} of {table}, which had the rows from before the refresh, was expired",
        code="replaced_rows_gone",
        hint="keep snapshots for as long as a swap shall be undoable (expire_snapshots: older_than); a full refresh "
        "loads what the source still has",
    )
