"""As ``test_commit_interleavings``, for a batch whose rows take the place of others: whatever the order of steps, each
file has the rows of one version in the table, the one that the ledger calls committed."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings

from libs.common.contracts.events import RunCompleted
from libs.common.ledger.states import BatchState, FileState
from tests.integration.executor.world import BUCKET, lines
from tests.property.test_commit_interleavings import STEPS, Story, first_that_doubles
from tests.support.memory_table import MemoryTable
from tests.support.memory_warehouse import file_of

OLD = {"a": lines(0, 1), "b": lines(2), "c": lines(3)}
NEW = {"a": lines(0, 10, 11), "b": lines(2)}
"""One of them grows: a copy on top of the batch's own publish has more rows than it should find."""

SAME = {"a": OLD["a"], "b": OLD["b"]}
"""None of them does: nothing in the rows tells that the batch is there already."""


class DeleteThenAppendTable(MemoryTable):
    """A negative control: a publish that looks which rows are there, and puts the copy on top of whatever is there when
    it comes to write."""

    async def publish(self, snapshot_id: int) -> None:
        await asyncio.sleep(0)
        staged = self._table.staged(snapshot_id)
        if staged.takes_out:
            there = frozenset(str(file_of(row)) for row in self._table.rows(staged.parent))
            left = there & staged.takes_out if staged.parent == self._table.ancestry[-1] else frozenset[str]()
            self._table.ancestry.append(self._table.write(staged.wap_id, staged.rows, takes_out=left).id)
        else:
            self._table.cherry_pick(snapshot_id)


class ReloadStory(Story):
    """Three files are loaded. A run loads two of them again, and a new file beside them."""

    new: Mapping[str, bytes] = NEW

    async def plan(self) -> None:
        self.world.ask_for("_file_path")
        await self.world.attempt(await self.world.claim(await self.world.plan(**OLD)))
        await self.world.reload(beside={"d": lines(4)}, **self.new)

    def check(self) -> None:
        world = self.world
        bodies = {
            (f"data/{name}.json", world.objects.put(BUCKET, f"probe/{name}", body).version_tag): body
            for name, body in [*OLD.items(), *self.new.items(), ("d", lines(4))]
        }
        committed = [row.version for row in world.ledger.files.values() if row.state is FileState.COMMITTED]
        rows = [line for f in committed for line in bodies[f.key, f.version_tag].splitlines()]
        assert Counter(json.loads(row)["id"] for row in rows) == world.ids()
        assert {"data/a.json", "data/b.json", "data/c.json"} <= {f.key for f in committed}, "loaded rows were lost"
        facts = world.ledger.facts(world.run_id)
        assert list(range(1, len(facts) + 1)) == [fact.seq for fact in facts]
        assert [facts[-1]] == [fact for fact in facts if isinstance(fact, RunCompleted)]
        published = [b for b in world.ledger.batches.values() if b.state is BatchState.PUBLISHED]
        assert {b.id for b in published} == self.in_the_table()
        assert sum((b.row_count or 0) - b.rows_removed for b in published) == world.ids().total()
        assert FileState.BATCHED not in {row.state for row in world.ledger.replacements.values()}


class SameVersionStory(ReloadStory):
    new = SAME


def told(
    steps: list[tuple[str, int, int]],
    table_type: type[MemoryTable] = MemoryTable,
    story_type: type[ReloadStory] = ReloadStory,
) -> ReloadStory:
    async def tell() -> ReloadStory:
        story = story_type(table_type)
        await story.tell(steps)
        return story

    return asyncio.run(tell())


@given(STEPS)
@settings(max_examples=300)
def test_in_whatever_order_executors_go_on_each_file_has_the_rows_of_one_version(
    steps: list[tuple[str, int, int]],
) -> None:
    """Deaths, zombies, lost answers, burns that race with publishes, foreign commits in between."""
    told(steps).check()


@given(STEPS)
@settings(max_examples=300)
def test_a_reload_of_the_same_version_is_in_the_table_once(steps: list[tuple[str, int, int]]) -> None:
    """The rows are the same before and after: only the batch's name tells."""
    told(steps, story_type=SameVersionStory).check()


def test_the_property_finds_a_publish_that_does_not_compare() -> None:
    """Negative control: on top of whatever is there, the same stories soon have rows twice."""

    found = first_that_doubles(lambda steps: told(steps, DeleteThenAppendTable))
    with pytest.raises(AssertionError):
        told(found, DeleteThenAppendTable).check()
    told(found).check()
