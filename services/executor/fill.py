"""Fills columns from what was rescued beside rows, on request: one commit, once, whatever crashes.

    read back ── count ── stage ── count ── guard ── publish ── read back ── report

As with a swap, the staged copy can be published only onto the snapshot that it was staged on, and the claim is asked
for after it was staged. What the fill did is told before it is done, in the transaction of that guard: whoever finds
the commit afterwards has the report. And what went into a column is rescued no more: to fill again changes nothing.

No file and no batch is touched: rows stay the rows of their files, and the ledger knows as many as before.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from libs.common.contracts.reports import FillReport
from libs.common.errors import Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.ledger.model.columns import Decisions
from libs.common.ledger.reconciliations import ReconciliationClaim
from libs.common.storage.definitions import RunDefinition
from services.executor.domain.evolution import Rules
from services.executor.domain.filling import Wanted, report, wanted
from services.executor.ports import Table
from services.executor.publication import send
from services.executor.table_lanes import TableLanes
from services.executor.whole_table_ports import RescuedRows, RowsOf, WholeTable

TRIES_MAX = 6
"""How often the copy is staged before the table is left to those who keep changing it."""


class Tables(Protocol):
    """Opens the destination table, all of its rows, and what was rescued beside them."""

    def open(self, order: RunDefinition) -> AbstractAsyncContextManager[Table]: ...
    def open_whole(self, order: RunDefinition) -> AbstractAsyncContextManager[WholeTable]: ...
    def open_rescued(self, order: RunDefinition) -> AbstractAsyncContextManager[RescuedRows]: ...


class Requests(Protocol):
    """Guards the claim; see ``libs/common/ledger/reconciliations.py``."""

    async def about_to_publish(self, claim: ReconciliationClaim, report: Mapping[str, Any]) -> None: ...
    async def decisions(self, claim: ReconciliationClaim) -> Decisions: ...


class Fills:
    """Does one fill for whoever holds its claim."""

    def __init__(self, requests: Requests, tables: Tables, lanes: TableLanes) -> None:
        self._requests = requests
        self._tables = tables
        self._lanes = lanes

    async def fill(self, claim: ReconciliationClaim, order: RunDefinition) -> Mapping[str, Any]:
        """Ends with the columns filled; returns the report.

        Raises:
            Fenced: the claim is lost. Temporary: codes ``miscounted``, ``table_busy``: it is tried again.
            Permanent: codes ``table_missing``, ``nothing_is_rescued``, ``cannot_fill``.
        """
        async with (
            self._tables.open(order) as table,
            self._tables.open_whole(order) as whole,
            self._tables.open_rescued(order) as rescued,
        ):
            # It may be done: whoever had the claim before published, and died or lost the answer.
            if await table.published(claim.wap_id) is not None:
                return _said(claim.report)
            of = await self._wanted(claim, order, table, whole)
            if not of.columns:
                return FillReport(rows_changed=0, columns=()).model_dump(mode="json")
            # Others of this process wait: each of their commits would send us back.
            async with self._lanes.of(table.name):
                return await self._publish(claim, of, table, whole, rescued)

    async def _wanted(
        self, claim: ReconciliationClaim, order: RunDefinition, table: Table, whole: WholeTable
    ) -> Wanted:
        schema = await table.schema()
        if schema is None:
            raise Permanent(
                f"there is no table {table.name}",
                code="table_missing",
                hint="run the ingestion; there is nothing to fill",
            )
        if not await whole.can_stage():
            raise Permanent(
                f"{table.name} takes no staged snapshots, so its columns cannot be filled in one commit",
                code="cannot_fill",
                hint="let Autoloader set write.wap.enabled on the table",
            )
        definition = order.definition
        decided = await self._requests.decisions(claim)
        rules = Rules.of(definition.format.schema_rules, decided, definition.source.partition_columns)
        return wanted(table.name, schema, claim.options.get("columns"), rules)

    async def _publish(
        self, claim: ReconciliationClaim, of: Wanted, table: Table, whole: WholeTable, rescued: RescuedRows
    ) -> Mapping[str, Any]:
        said = claim.report
        for tries in range(TRIES_MAX):
            found = await rescued.count(of)
            # By an executor that woke up, or by a call of ours that was given up and arrived all the same. What comes
            # later than this look makes the copy's parent another one than was counted.
            if await table.published(claim.wap_id) is not None:
                return _said(said)
            told = report(of, found).model_dump(mode="json")
            if not found.rows:
                return told
            copy = await rescued.stage(of, claim.wap_id, {"autoloader.ingestion": str(claim.ingestion_id)})
            if copy.parent_id == found.snapshot_id:
                if (rows := await whole.count(RowsOf(copy.snapshot_id))) != found.total:
                    raise Temporary(
                        f"the staged copy holds {rows:,} rows instead of {found.total:,}",
                        code="miscounted",
                        hint="it is staged again",
                    )
                # Guarded, and after the copy, as in ``swap``. Crash here: the copy is invisible, and stays so.
                await self._requests.about_to_publish(claim, told)
                said = told
                failpoint("fill.before_publish")
                published, _ = await send(table, copy.snapshot_id, claim.wap_id)
                failpoint("fill.after_publish")
                if published is not None:
                    return told
            await asyncio.sleep(random.uniform(0, 0.2 * 2**tries))
        raise Temporary(
            f"{table.name} changed each time while its columns were about to be filled",
            code="table_busy",
            hint="let its other writers pause for a while",
        )


def _said(report: Mapping[str, Any] | None) -> Mapping[str, Any]:
    assert report is not None, "it is written before the publish"
    return report
