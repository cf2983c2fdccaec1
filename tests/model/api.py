"""The API of the model: its rows, and what its transactions do to them.

Its code is SQL from end to end, so the world has its own, as short as the rules are: services/api/runs and
services/api/refresh are what it has to agree with.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from libs.common.contracts.definition import Definition
from libs.common.contracts.events import (
    RefreshMode,
    RefreshTable,
    RunCompleted,
    RunFact,
    RunRequested,
    TableRefreshed,
    TableRefreshFailed,
    Totals,
)
from libs.common.contracts.scope import ANY_AGE, EVERYTHING, HINTED, Scope
from libs.common.failpoints import failpoint
from libs.common.ids import IngestionId, RefreshId, RunId, TenantId, new_ingestion_id, new_refresh_id, new_run_id
from libs.common.lifecycle.run import FINAL, Run, advance
from libs.common.storage.definitions import RunDefinition
from tests.support.memory_ledger import MemoryLedger, RunRow
from tests.support.memory_ledger.cancellations import cancel_run

_LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
_TENANT = TenantId("t")


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh as the API knows it. ``kept_as`` is where the old table is, if there was one."""

    command: RefreshTable
    is_over: bool = False
    is_done: bool = False
    kept_as: str | None = None


class Api:
    """One ingestion's API. ``queued`` is a run that waits for the active one to end."""

    def __init__(self, ledger: MemoryLedger, definition: Definition) -> None:
        self.ingestion_id: IngestionId = new_ingestion_id()
        self.generation = 1
        self.runs: dict[RunId, Run] = {}
        self.orders: dict[RunId, RunDefinition] = {}
        self.queued: RunId | None = None
        self.refreshes: dict[RefreshId, Refresh] = {}
        self.definition = definition
        self._ledger = ledger

    @property
    def is_run_active(self) -> bool:
        """The queued one is not, and backfills have a lane of their own."""
        return any(id_ != self.queued and not self.orders[id_].scope.is_backfill for id_ in self._unfinished())

    @property
    def is_backfill_active(self) -> bool:
        return any(self.orders[id_].scope.is_backfill for id_ in self._unfinished())

    def _unfinished(self) -> list[RunId]:
        return [id_ for id_, run in self.runs.items() if run.status not in FINAL]

    @property
    def is_refreshing(self) -> bool:
        return not all(refresh.is_over for refresh in self.refreshes.values())

    async def request_run(self) -> None:
        """Stores a run and its request in one transaction; refused during a refresh, and while another run is not
        over."""
        if self.is_refreshing or self.is_run_active or self.queued is not None:
            return
        failpoint("api.before_tx")
        async with self._ledger.transaction():
            self._store_run()
        failpoint("api.after_tx")

    async def request_hinted_run(self) -> None:
        """As ``services/api/triggers``: while hints wait, and no run of what is new is active or waits."""
        if self.is_refreshing or self.is_run_active or self.queued is not None:
            return
        async with self._ledger.transaction():
            if self._ledger.hints_of(self.ingestion_id):
                self._dispatch(self._new_run("event", HINTED))

    async def request_backfill(self) -> None:
        """As ``request_run``, beside the runs of what is new; refused while another backfill is not over."""
        if self.is_refreshing or self.is_backfill_active:
            return
        failpoint("api.before_tx")
        async with self._ledger.transaction():
            self._dispatch(self._new_run("backfill", ANY_AGE))
        failpoint("api.after_tx")

    def undoable(self) -> RefreshId | None:
        """The latest refresh that kept a table, and that was not undone."""
        undone = {refresh.command.undoes for refresh in self.refreshes.values() if refresh.is_done}
        kept = [id_ for id_, refresh in self.refreshes.items() if refresh.command.mode in ("full", "new_only")]
        latest = next((id_ for id_ in reversed(kept) if self.refreshes[id_].is_done and id_ not in undone), None)
        return latest if latest is not None and self.refreshes[latest].kept_as else None

    async def request_refresh(self, mode: RefreshMode) -> None:
        """Stores a refresh and its command in one transaction; refused while another refresh is not over, and an undo
        when there is nothing to undo."""
        undoes = self.undoable() if mode == "undo" else None
        if self.is_refreshing or (mode == "undo" and undoes is None):
            return
        failpoint("api.before_tx")
        async with self._ledger.transaction():
            refresh_id = new_refresh_id()
            command = RefreshTable(
                refresh_id=refresh_id,
                ingestion_id=self.ingestion_id,
                mode=mode,
                from_generation=self.generation,
                to_generation=self.generation + 1,
                undoes=undoes,
            )
            self.refreshes[refresh_id] = Refresh(command)
            self._ledger.events.append(command)
        failpoint("api.after_tx")

    async def cancel(self, run_id: RunId) -> None:
        """In one transaction with the ledger; the rest is the services' work."""
        failpoint("api.before_tx")
        async with self._ledger.transaction():
            cancel_run(self._ledger, run_id, self.ingestion_id, self.orders[run_id].generation)
        failpoint("api.after_tx")

    def ask_again(self) -> None:
        """As the API's sweeper and its reminder: what was lost is sent anew."""
        self._dispatch_queued()
        self._ledger.events += [
            self._request_of(id_)
            for id_, run in self.runs.items()
            if id_ != self.queued and run.status not in FINAL and id_ not in self._ledger.scans
        ]
        self._ledger.events += [refresh.command for refresh in self.refreshes.values() if not refresh.is_over]

    def take_in(self, fact: RunFact | TableRefreshed | TableRefreshFailed) -> None:
        """One fact, in one transaction. The same fact twice changes nothing."""
        match fact:
            case RunFact():
                self._fold(fact)
            case TableRefreshed():
                self._begin_anew(fact)
            case TableRefreshFailed(refresh_id=refresh_id, is_over=is_over):
                refresh = self.refreshes[RefreshId(refresh_id)]
                self.refreshes[RefreshId(refresh_id)] = replace(refresh, is_over=refresh.is_over or is_over)

    async def of(self, run_id: UUID) -> RunDefinition:
        """As ``RunDefinitions.of``."""
        return self.orders[RunId(run_id)]

    async def of_refresh(self, refresh_id: RefreshId) -> RunDefinition:
        """As ``RunDefinitions.of_refresh``."""
        command = self.refreshes[refresh_id].command
        return self._order(RunId(refresh_id), command.to_generation, "refresh")

    def _begin_anew(self, fact: TableRefreshed) -> None:
        refresh_id = RefreshId(fact.refresh_id)
        if self.refreshes[refresh_id].is_over:
            return
        self.generation = max(self.generation, fact.to_generation)
        self._end_what_never_began(fact)
        self._store_run(trigger="refresh")
        self.refreshes[refresh_id] = replace(
            self.refreshes[refresh_id], is_over=True, is_done=True, kept_as=fact.kept_as
        )

    def _end_what_never_began(self, fact: TableRefreshed) -> None:
        """The queued one first, lest it begin when the active one ends."""
        for id_ in sorted(self.runs, key=lambda id_: id_ != self.queued):
            order, run = self.orders[id_], self.runs[id_]
            if order.generation < fact.to_generation and run.status not in FINAL and id_ not in self._ledger.scans:
                self._fold(
                    RunCompleted(
                        run_id=id_,
                        ingestion_id=self.ingestion_id,
                        generation=order.generation,
                        seq=run.seq + 1,
                        occurred_at=fact.occurred_at,
                        totals=Totals(),
                        outcome="cancelled",
                    )
                )

    def _fold(self, fact: RunFact) -> None:
        run_id = RunId(fact.run_id)
        self.runs[run_id] = advance(self.runs[run_id], fact)
        if self.runs[run_id].status in FINAL:
            self._ledger.runs.pop(run_id, None)
            if self.queued == run_id:
                self.queued = None
            self._dispatch_queued()

    def _store_run(self, trigger: str = "manual") -> None:
        is_first = not self.is_run_active
        run_id = self._new_run(trigger, EVERYTHING)
        if is_first:
            self._dispatch(run_id)
        else:
            self.queued = run_id

    def _new_run(self, trigger: str, scope: Scope) -> RunId:
        run_id = new_run_id()
        self.orders[run_id] = replace(self._order(run_id, self.generation, trigger), scope=scope)
        self.runs[run_id] = Run()
        return run_id

    def _dispatch_queued(self) -> None:
        if self.queued is not None and not self.is_run_active:
            run_id, self.queued = self.queued, None
            self._dispatch(run_id)

    def _dispatch(self, run_id: RunId) -> None:
        row = RunRow(self.ingestion_id, self.orders[run_id].generation, self._ledger.clock())
        self._ledger.runs[run_id] = row
        self._ledger.events.append(self._request_of(run_id))

    def _request_of(self, run_id: RunId) -> RunRequested:
        order = self.orders[run_id]
        return RunRequested(
            run_id=run_id,
            ingestion_id=self.ingestion_id,
            generation=order.generation,
            tenant_id=_TENANT,
            trigger=order.trigger,
        )

    def _order(self, run_id: RunId, generation: int, trigger: str) -> RunDefinition:
        return RunDefinition(
            run_id=run_id,
            ingestion_id=self.ingestion_id,
            tenant_id=_TENANT,
            generation=generation,
            trigger=trigger,
            definition=self.definition,
            credentials=None,
            created_at=_LONG_AGO,
        )
