"""Executors that stop anywhere and go on whenever they like: whatever the order of their steps, each row is there once.

Each executor is stopped before and after every call that it makes to the ledger, the table and the object store. The
drawn story says who goes on, how far, who dies, whose answer is lost, whose lease ends, and who comes to give up.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from libs.common.contracts.events import FileBatchCommitted, Problem, RunCompleted
from libs.common.errors import Fenced, Permanent, Temporary
from libs.common.ids import BatchId
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState
from services.executor.commit import CommitProtocol
from services.executor.table_lanes import TableLanes
from tests.integration.executor.world import LEASE, TO, World, lines
from tests.support.memory_table import MemoryTable, PlainAppendTable

T = TypeVar("T")

FILES = {"a.json": lines(0, 1), "b.json": lines(2, new=1), "c.json": lines(3) + b"{broken\n", "d.json": lines(4)}
IDS = {"a.json": [0, 1], "b.json": [2], "c.json": [3], "d.json": [4]}
AWAY = Temporary("the answer was lost", code="spark_unreachable")


@dataclass(eq=False)
class Executor:
    """One process. ``turn`` is where it waits to be let on."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    stands: asyncio.Event = field(default_factory=asyncio.Event)
    loses_answer: bool = False
    task: "asyncio.Task[None] | None" = None

    async def turn(self) -> None:
        self.stands.set()
        await self.go.wait()
        self.go.clear()

    async def step(self) -> None:
        """To the next place where it can be stopped, or to its end."""
        assert self.task is not None
        self.stands.clear()
        self.go.set()
        standing = asyncio.ensure_future(self.stands.wait())
        await asyncio.wait((standing, self.task), return_when=asyncio.FIRST_COMPLETED)
        standing.cancel()

    def around(self, thing: T, *, may_lose: bool = False) -> T:
        return cast("T", _Stopped(thing, self, may_lose))


class _Stopped:
    def __init__(self, thing: Any, executor: Executor, may_lose: bool) -> None:
        self._thing = thing
        self._executor = executor
        self._may_lose = may_lose

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._thing, name)

        async def called(*args: Any, **kwargs: Any) -> Any:
            await self._executor.turn()
            result = await method(*args, **kwargs)
            await self._executor.turn()
            if self._may_lose and self._executor.loses_answer:
                self._executor.loses_answer = False
                raise AWAY
            return result

        return called


class Story:
    """A run of two batches in one world, told by drawn steps."""

    def __init__(self, table_type: type[MemoryTable]) -> None:
        self.world = World(table_type)
        self.executors: list[Executor] = []

    async def plan(self) -> None:
        """What the run found, in its batches."""
        names = list(FILES)
        await self.world.plan_batches(
            {name: FILES[name] for name in names[:3]}, {name: FILES[name] for name in names[3:]}
        )

    async def tell(self, steps: list[tuple[str, int, int]]) -> None:
        await self.plan()
        try:
            for what, who, how_far in steps:
                await self._do(what, who, how_far)
            await self._the_end()
        finally:
            for executor in self.executors:
                assert executor.task is not None
                executor.task.cancel()
                with suppress(asyncio.CancelledError, Fenced, Temporary):
                    await executor.task

    async def _do(self, what: str, who: int, how_far: int) -> None:
        match what:
            case "load" | "give up":
                await self._start(who, gives_up=what == "give up")
            case "expire":
                self.world.now += LEASE + timedelta(seconds=1)
            case "append" if TO.identifier in self.world.warehouse.tables:
                self.world.warehouse.tables[TO.identifier].append([])
        if not self.executors:
            return
        executor = self.executors[-1 - who % len(self.executors)]
        match what:
            case "go on" | "load" | "give up":
                for _ in range(how_far):
                    await executor.step()
            case "lose":
                executor.loses_answer = True
            case "die":
                assert executor.task is not None
                executor.task.cancel()

    async def _start(self, who: int, *, gives_up: bool) -> None:
        batches = [b.id for b in self.world.ledger.batches.values() if b.state not in FINAL_BATCH_STATES]
        claim = await self.world.executor.claim(batches[who % len(batches)]) if batches else None
        if claim is not None:
            executor = Executor()
            executor.task = asyncio.create_task(self._work(executor, claim, gives_up=gives_up))
            self.executors.append(executor)
            await executor.stands.wait()

    async def _work(self, executor: Executor, claim: BatchClaim, *, gives_up: bool) -> None:
        table = executor.around(self.world.table(), may_lose=True)
        protocol = CommitProtocol(
            executor.around(self.world.executor), executor.around(self.world.objects), TableLanes()
        )
        with suppress(Fenced, Temporary):
            problem = Problem(error_type="given_up", message="somebody asked for it")
            if not gives_up:
                try:
                    await protocol.load(claim, self.world.order, table)
                    return
                except Permanent as error:
                    problem = Problem(error_type=error.code, message=error.message)
            may_be_staged = (await executor.around(self.world.executor).standing(claim)).may_be_staged
            await protocol.give_up(claim, table if may_be_staged else None, problem)

    async def _the_end(self) -> None:
        """Sweepers finish everything; then all who were forgotten in the middle wake up and go on to their ends."""
        await self.world.settle()
        for executor in self.executors:
            assert executor.task is not None
            while not executor.task.done():
                await executor.step()
            executor.task.result() if not executor.task.cancelled() else None
        await self.world.settle()

    def check(self) -> None:
        """The invariants: rows of committed files once and no others, the two records agree, the run ended once."""
        world = self.world
        committed = [
            i
            for row in world.ledger.files.values()
            if row.state is FileState.COMMITTED
            for i in IDS[row.version.key.removeprefix("data/")]
        ]
        assert Counter(committed) == world.ids()
        facts = world.ledger.facts(world.run_id)
        assert list(range(1, len(facts) + 1)) == [fact.seq for fact in facts]
        assert [facts[-1]] == [fact for fact in facts if isinstance(fact, RunCompleted)]
        assert len(committed) == facts[-1].totals.records_ingested
        assert len(committed) == sum(fact.records for fact in facts if isinstance(fact, FileBatchCommitted))
        assert {b.id for b in world.ledger.batches.values() if b.state is BatchState.PUBLISHED} == self.in_the_table()
        assert FileState.BATCHED not in {row.state for row in world.ledger.files.values()}

    def in_the_table(self) -> set[BatchId]:
        table = self.world.warehouse.tables.get(TO.identifier)
        current = table.current() if table else []
        wap_ids = Counter(snapshot.wap_id for snapshot in current if snapshot.wap_id)
        assert all(times == 1 for times in wap_ids.values()), "a wap id is in the ancestry twice"
        data = {snapshot.wap_id for snapshot in current if snapshot.wap_id and not snapshot.is_burn}
        return {
            batch.id
            for batch in self.world.ledger.batches.values()
            if f"al1:{batch.ingestion_id}:{batch.generation}:{batch.id}" in data
        }


WHATS = st.sampled_from(
    ["load", "load", "give up", "go on", "go on", "go on", "expire", "expire", "append", "lose", "die"]
)
STEPS = st.lists(st.tuples(WHATS, st.integers(0, 3), st.integers(0, 30)), max_size=14)


def told(steps: list[tuple[str, int, int]], table_type: type[MemoryTable] = MemoryTable) -> Story:
    async def tell() -> Story:
        story = Story(table_type)
        await story.tell(steps)
        return story

    return asyncio.run(tell())


def first_that_doubles(tell: Callable[[list[tuple[str, int, int]]], Story]) -> list[tuple[str, int, int]]:
    """The steps of a story after which a row is in the table twice. Fails the test when there is none: then its
    property sees nothing."""
    many = settings(max_examples=5000, phases=(Phase.generate,), database=None, suppress_health_check=list(HealthCheck))
    try:
        return find(STEPS, lambda steps: max(tell(steps).world.ids().values(), default=0) > 1, settings=many)
    except NoSuchExample:
        pytest.fail("no story was found that doubles rows: the property sees nothing")


@given(STEPS)
@settings(max_examples=300)
def test_in_whatever_order_executors_go_on_each_row_is_there_once(steps: list[tuple[str, int, int]]) -> None:
    """Deaths, zombies, lost answers, burns that race with publishes, foreign commits in between."""
    told(steps).check()


def test_the_property_finds_a_plain_append() -> None:
    """Negative control: with a publish that is only an append, the same stories soon have rows twice."""

    found = first_that_doubles(lambda steps: told(steps, PlainAppendTable))
    with pytest.raises(AssertionError):
        told(found, PlainAppendTable).check()
    told(found).check()


def test_rows_are_told_apart_by_their_ids() -> None:
    """The oracle's own numbers fit the files."""
    for name, body in FILES.items():
        good = [line for line in body.splitlines() if not line.startswith(b"{broken")]
        assert IDS[name] == [json.loads(line)["id"] for line in good]
