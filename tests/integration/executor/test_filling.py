"""Filling columns from what was rescued: killed before and after every call, overtaken, and refused."""

import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.common.errors import AutoloaderError, Fenced, Temporary
from libs.common.ledger.model.columns import Decisions
from libs.common.ledger.reconciliations import ReconciliationClaim
from libs.common.storage.definitions import RunDefinition
from services.executor.fill import TRIES_MAX, Fills
from services.executor.ports import Table
from services.executor.table_lanes import TableLanes
from services.executor.whole_table_ports import RescuedRows, WholeTable
from tests.integration.executor.world import TO, World, lines
from tests.support.crash import Crash, CrashPoint
from tests.support.memory_rescued import MemoryRescued
from tests.support.memory_table import MemoryTable
from tests.support.memory_whole_table import MemoryWholeTable


@dataclass
class Requests:
    """One request, its token, and what was said of it. ``rejected``: columns that somebody turned away."""

    claim: ReconciliationClaim
    rejected: frozenset[str] = frozenset()
    reports: list[Mapping[str, Any]] = field(default_factory=list)

    def next_claim(self) -> ReconciliationClaim:
        self.claim = replace(self.claim, token=self.claim.token + 1, report=self.reports[-1] if self.reports else None)
        return self.claim

    async def about_to_publish(self, claim: ReconciliationClaim, report: Mapping[str, Any]) -> None:
        if claim.token != self.claim.token:
            raise Fenced("fill")
        self.reports.append(report)

    async def decisions(self, claim: ReconciliationClaim) -> Decisions:
        return Decisions(rejected=self.rejected)


class Tables:
    """The table of a world. ``commits``: a foreign writer commits so often before a publish."""

    def __init__(self, world: World, point: CrashPoint | None = None, commits: int = 0) -> None:
        self._world = world
        self._point = point or CrashPoint()
        self._commits = commits

    @asynccontextmanager
    async def open(self, _: RunDefinition) -> AsyncIterator[Table]:
        tables = self

        class Busy(MemoryTable):
            async def publish(self, snapshot_id: int) -> None:
                if tables._commits:
                    tables._commits -= 1
                    self._table.append([json.dumps({"id": 100 + tables._commits})])
                await super().publish(snapshot_id)

        yield self._point.around(Busy(self._world.warehouse, TO, self._world.objects))

    @asynccontextmanager
    async def open_whole(self, _: RunDefinition) -> AsyncIterator[WholeTable]:
        yield self._point.around(MemoryWholeTable(self._world.warehouse, TO))

    @asynccontextmanager
    async def open_rescued(self, _: RunDefinition) -> AsyncIterator[RescuedRows]:
        yield self._point.around(MemoryRescued(self._world.warehouse, TO))


async def rescued(**rules: Any) -> tuple[World, Requests]:
    """A table whose first run rescued ``x``, and whose second made a column of it; and a request to fill all."""
    world = World()
    world.follow(hints={"id": "bigint"}, inference="auto", schema_evolution_mode="rescue")
    await world.load(z=lines(0))
    await world.load(a=lines(1, x=5) + lines(2, x="five"), b=lines(3, x=7, y=1))
    world.follow(rescued_data_column="_rescued_data", **rules)
    await world.load(c=lines(4, x=8))
    return world, Requests(ReconciliationClaim(uuid4(), world.ingestion_id, 1, "fill", {"columns": None}, 0, 1))


async def fill(world: World, requests: Requests, tables: Tables | None = None) -> Mapping[str, Any]:
    fills = Fills(requests, tables or Tables(world), TableLanes())
    return await fills.fill(requests.next_claim(), world.order)


def xs(world: World) -> dict[int, Any]:
    return {row["id"]: row.get("x") for row in world.records() if row["id"] < 100}


FILLED = {0: None, 1: 5, 2: None, 3: 7, 4: 8}
REPORT = {"rows_changed": 2, "columns": [{"column": "x", "filled": 2, "unfit": 1}]}


async def test_values_go_into_the_column_and_the_counts_of_files_stay() -> None:
    """The commit is nobody's batch: the ledger and the table tell the same story as before."""
    world, requests = await rescued()
    table = world.table()
    before = await table.history(world.ingestion_id)
    assert REPORT == await fill(world, requests)
    assert FILLED == xs(world)
    after = await table.history(world.ingestion_id)
    assert (before.batches, before.beside) == (after.batches, after.beside)
    left = [json.loads(row["_rescued_data"]) for row in world.records() if row.get("_rescued_data")]
    assert [{"x": "five"}, {"y": 1}] == [{k: v for k, v in each.items() if k != "_file_path"} for each in left]
    await world.load(d=lines(5, x=9))
    assert FILLED | {5: 9} == xs(world)


@pytest.mark.parametrize("after", [False, True])
async def test_it_is_done_once_wherever_it_was_killed(after: bool) -> None:
    """Before and after every single call; the next one has the same report, and changes nothing twice."""
    point = CrashPoint()
    world, requests = await rescued()
    await fill(world, requests, Tables(world, point))
    assert len(point.calls) > 5
    for at in range(len(point.calls)):
        world, requests = await rescued()
        with pytest.raises(Crash):
            await fill(world, requests, Tables(world, CrashPoint(at, after)))
        assert REPORT == await fill(world, requests)
        assert FILLED == xs(world)
        ids = [s.wap_id for s in world.warehouse.table(TO.identifier).current()]
        assert 1 == ids.count(requests.claim.wap_id)


async def test_others_who_commit_send_it_back_and_lose_nothing() -> None:
    """The copy is staged anew, until it is on top."""
    world, requests = await rescued()
    assert REPORT == await fill(world, requests, Tables(world, commits=2))
    assert FILLED == xs(world)
    assert [100, 101] == sorted(row["id"] for row in world.records() if row["id"] >= 100)


async def test_a_table_that_never_rests_is_left_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was changed."""
    monkeypatch.setattr(random, "uniform", lambda *_: 0)
    world, requests = await rescued()
    with pytest.raises(Temporary) as left:
        await fill(world, requests, Tables(world, commits=TRIES_MAX))
    assert "table_busy" == left.value.code
    assert FILLED | {1: None, 3: None} == xs(world)


async def test_who_lost_the_claim_publishes_nothing() -> None:
    """Another executor has it by now."""
    world, requests = await rescued()
    old = requests.next_claim()
    requests.next_claim()
    with pytest.raises(Fenced):
        await Fills(requests, Tables(world), TableLanes()).fill(old, world.order)
    assert FILLED | {1: None, 3: None} == xs(world)


async def test_nothing_to_fill_commits_nothing() -> None:
    """A second request finds that."""
    world, requests = await rescued()
    await fill(world, requests)
    requests.claim = replace(requests.claim, id=UUID(int=1), report=None)
    requests.reports.clear()
    before = list(world.warehouse.table(TO.identifier).snapshots)
    nothing = {"rows_changed": 0, "columns": [{"column": "x", "filled": 0, "unfit": 1}]}
    assert nothing == await fill(world, requests)
    assert before == list(world.warehouse.table(TO.identifier).snapshots)


@pytest.mark.parametrize(
    ("columns", "rejected", "code"),
    [(["nope"], [], "cannot_fill"), (["_rescued_data"], [], "cannot_fill"), (["x"], ["x"], "cannot_fill")],
)
async def test_what_cannot_be_filled_is_refused(columns: list[str], rejected: list[str], code: str) -> None:
    """A column that is not there, one of ours, one that somebody rejected."""
    world, requests = await rescued()
    requests.rejected = frozenset(rejected)
    requests.claim = replace(requests.claim, options={"columns": columns})
    with pytest.raises(AutoloaderError) as refused:
        await fill(world, requests)
    assert code == refused.value.code


async def test_a_rejected_column_is_none_of_all() -> None:
    """What somebody turned away stays rescued."""
    world, requests = await rescued()
    requests.rejected = frozenset({"x"})
    assert {"rows_changed": 0, "columns": []} == await fill(world, requests)


async def test_a_table_that_rescues_nothing_says_so() -> None:
    """And one that is not there."""
    world = World()
    requests = Requests(ReconciliationClaim(uuid4(), world.ingestion_id, 1, "fill", {"columns": None}, 0, 1))
    with pytest.raises(AutoloaderError, match="there is no table"):
        await fill(world, requests)
    await world.load(a=lines(1))
    with pytest.raises(AutoloaderError, match="no column for what is rescued"):
        await fill(world, requests)
