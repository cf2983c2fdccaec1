"""What an executor does around the protocol: it tries again, gives up aloud, hands back, and is fenced."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest

from libs.common.aside import CLOCK_SKEWED, Aside
from libs.common.contracts.codec import Envelope, decode, encode
from libs.common.contracts.events import FileBatchFailed, FileBatchPlanned, RunCompleted
from libs.common.errors import Fenced, Permanent, Temporary
from libs.common.ids import BatchId
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.states import FINAL_BATCH_STATES, BatchState, FileState
from libs.common.storage.definitions import RunDefinition, RunDefinitions
from services.executor.commit import CommitProtocol
from services.executor.domain.schema_change import Addition
from services.executor.handlers import Batches, Patience
from services.executor.ports import Table
from services.executor.sweepers import batch_sweeper
from services.executor.table_lanes import TableLanes
from tests.integration.executor.world import LEASE, TO, World, lines
from tests.support.clocks import behind_us, the_same_time
from tests.support.eventually import eventually
from tests.support.trouble import ALWAYS, Trouble

AWAY = Temporary("Spark is away", code="spark_unreachable")
FAILED = Temporary("Spark failed", code="spark_failed")
SKEWED = Temporary("the clock is wrong", code=CLOCK_SKEWED, hint="set it right")
PAUSE = timedelta(minutes=1)
NO_DATABASE = Temporary("Postgres is away", code="database_unavailable")


@dataclass
class Executor:
    """An executor's handler on a world, and what goes wrong for it."""

    world: World = field(default_factory=World)
    table: Trouble = field(default_factory=Trouble)
    ledger: Trouble = field(default_factory=Trouble)
    opening: Trouble = field(default_factory=Trouble)
    definitions: Trouble = field(default_factory=Trouble)
    heartbeat: timedelta = timedelta(seconds=5)
    aside: Aside = field(default_factory=lambda: Aside(PAUSE, the_same_time))
    patience: Patience = field(default_factory=lambda: Patience(attempts_max=4, takeovers_max=8, pause_s=0))

    def __post_init__(self) -> None:
        ledger = self.ledger.around(self.world.executor)
        self.batches = Batches(
            cast("BatchLedger", ledger),
            cast("RunDefinitions", self.definitions.around(self)),
            self,
            CommitProtocol(ledger, self.world.objects, TableLanes()),
            heartbeat=self.heartbeat,
            patience=self.patience,
            aside=self.aside,
        )

    async def of(self, run_id: UUID) -> RunDefinition:
        return self.world.order

    @asynccontextmanager
    async def open(self, order: RunDefinition) -> AsyncIterator[Table]:
        await self.opening.strike("open")
        yield self.table.around(self.world.table())

    async def work(self, batch_id: BatchId) -> None:
        await self.batches.work_on(batch_id)

    def message(self, batch_id: BatchId) -> Envelope:
        """What wakes executors for a batch."""
        [planned] = [e for e in self.world.ledger.events if isinstance(e, FileBatchPlanned) and e.batch_id == batch_id]
        return decode(encode(planned, source="autoloader/test", time=self.world.ledger.clock()))

    def state(self, batch_id: BatchId) -> BatchState:
        return self.world.ledger.batches[batch_id].state

    def told(self) -> list[str]:
        """The words of what the user was told about batches that failed."""
        facts = self.world.ledger.facts(self.world.run_id)
        return [problem.error_type for fact in facts if isinstance(fact, FileBatchFailed) for problem in fact.problems]

    def ends_as(self) -> str | None:
        facts = self.world.ledger.facts(self.world.run_id)
        return next((fact.outcome for fact in facts if isinstance(fact, RunCompleted)), None)


@pytest.fixture
def executor() -> Executor:
    return Executor()


async def test_messages_say_that_there_is_work_and_turns_say_which(executor: Executor) -> None:
    """Told of the last batch, an executor takes the one that waits longest. As many messages as batches load them all,
    in whatever order and however often they come; then a message finds nothing to do."""
    first, second, third = await executor.world.plan_batches(
        {"a.json": lines(0)}, {"b.json": lines(1)}, {"c.json": lines(2)}
    )
    done = []
    for told in (third, third, first):
        await executor.batches.on_file_batch_planned(executor.message(told))
        done.append([batch_id for batch_id in (first, second, third) if executor.state(batch_id) == "published"])
    assert [[first], [first, second], [first, second, third]] == done
    await executor.batches.on_file_batch_planned(executor.message(second))
    executor.world.check([0, 1, 2])
    assert [1, 1, 1] == [executor.world.ledger.batches[i].attempts for i in (first, second, third)]


async def test_a_batch_that_was_given_back_is_taken_by_its_own_message(executor: Executor) -> None:
    """Which comes again after an outage of the database."""
    batch_id = await executor.world.plan(a=lines(0))
    ledger = executor.world.executor
    claim = await ledger.claim(batch_id)
    assert claim is not None
    await ledger.release(claim, error="the database was away")
    await executor.batches.on_file_batch_planned(executor.message(batch_id))
    executor.world.check([0])


async def test_a_batch_that_is_done_or_held_is_left_alone(executor: Executor) -> None:
    """Its message came twice, or a sweeper was faster."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    await executor.work(batch_id)
    await executor.work(batch_id)
    executor.world.check([0, 1])
    await executor.work(BatchId(UUID(int=0)))
    assert 1 == executor.world.ledger.batches[batch_id].attempts


@pytest.mark.parametrize("call", ["schema", "infer", "create", "stage", "published", "columns"])
async def test_trouble_that_passes_is_tried_again_under_the_same_claim(executor: Executor, call: str) -> None:
    """Three failures in a row, and an answer that is lost each time as well."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    executor.table.before(call, FAILED, times=2)
    executor.table.after(call, AWAY)
    await executor.work(batch_id)
    executor.world.check([0, 1])
    assert 1 == executor.world.ledger.batches[batch_id].attempts


async def test_a_publish_whose_answer_is_lost_is_found(executor: Executor) -> None:
    """The read-back decides, not the exception: nothing is staged again."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    executor.table.after("publish", AWAY)
    await executor.work(batch_id)
    executor.world.check([0, 1])
    assert (1, 1) == (executor.table.calls.count("publish"), executor.table.calls.count("stage"))


async def test_a_publish_that_did_not_arrive_is_sent_again(executor: Executor) -> None:
    """The same staged copy."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    executor.table.before("publish", AWAY, times=2)
    await executor.work(batch_id)
    executor.world.check([0, 1])
    assert (3, 1) == (executor.table.calls.count("publish"), executor.table.calls.count("stage"))


async def test_trouble_that_does_not_pass_is_told_and_the_files_wait(executor: Executor) -> None:
    """Given up after a few attempts: burned, since a copy may be staged; the next run takes the files."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    executor.table.after("stage", FAILED, times=ALWAYS)
    await executor.work(batch_id)
    assert (BatchState.BURNED, ["spark_failed"], "failed") == (
        executor.state(batch_id),
        executor.told(),
        executor.ends_as(),
    )
    assert {"a": FileState.DISCOVERED} == executor.world.states()
    assert 4 == executor.table.calls.count("stage")
    executor.world.check([])


@pytest.mark.parametrize("where", ["opening", "table"])
async def test_what_somebody_must_change_first_is_not_tried_again(executor: Executor, where: str) -> None:
    """An unknown cluster or catalog. Nothing can be staged, so the table is not asked for a burn."""
    batch_id = await executor.world.plan(a=lines(0))
    getattr(executor, where).before("open" if where == "opening" else "schema", Permanent("x", code="unknown_x"))
    await executor.work(batch_id)
    assert (BatchState.BURNED, ["unknown_x"], "failed") == (
        executor.state(batch_id),
        executor.told(),
        executor.ends_as(),
    )
    assert "stage_burn" not in executor.table.calls
    assert TO.identifier not in executor.world.warehouse.tables


async def test_what_only_the_table_knows_waits_for_the_table(executor: Executor) -> None:
    """Staged, and then Spark went away: handed back with its lease ended, and finished when Spark is there again."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    executor.table.after("stage", AWAY)
    executor.table.meanwhile("stage", lambda: _goes_away(executor))
    await executor.work(batch_id)
    row = executor.world.ledger.batches[batch_id]
    assert (BatchState.LEASED, None, None) == (row.state, row.lease_until, executor.ends_as())
    assert "Spark is away" == row.last_error
    executor.opening = Trouble()
    await executor.work(batch_id)
    executor.world.check([0, 1])


async def test_an_outage_of_the_table_uses_up_no_takeovers(executor: Executor) -> None:
    """Nobody was lost with the batch: however long Spark is away, it is loaded when Spark is there again."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    executor.table.after("stage", AWAY)
    executor.table.meanwhile("stage", lambda: _goes_away(executor))
    for _ in range(2 * executor.patience.takeovers_max):
        await executor.work(batch_id)
    executor.opening = Trouble()
    await executor.work(batch_id)
    executor.world.check([0, 1])
    assert [] == executor.told()


async def test_a_batch_that_takes_the_table_away_is_given_up(executor: Executor) -> None:
    """Each time that it is staged, Spark falls over: that is no outage."""
    batch_id = await executor.world.plan(a=lines(0))
    for _ in range(executor.patience.takeovers_max):
        executor.table.before("stage", AWAY)
        executor.table.meanwhile("stage", lambda: _goes_away(executor))
        await executor.work(batch_id)
        executor.opening = Trouble()
    await executor.work(batch_id)
    assert (BatchState.BURNED, ["too_many_attempts"]) == (executor.state(batch_id), executor.told())


async def _goes_away(executor: Executor) -> None:
    executor.opening.before("open", AWAY, times=ALWAYS)


async def test_a_definition_that_cannot_be_read_ends_the_batch(executor: Executor) -> None:
    """Its credentials were sealed with another key: no later attempt can read them either."""
    batch_id = await executor.world.plan(a=lines(0))
    executor.definitions.before("of", Permanent("sealed with another key", code="secret_unreadable"), times=ALWAYS)
    await executor.work(batch_id)
    assert (BatchState.BURNED, ["secret_unreadable"], "failed") == (
        executor.state(batch_id),
        executor.told(),
        executor.ends_as(),
    )
    assert {"a": FileState.DISCOVERED} == executor.world.states()


async def test_a_definition_that_cannot_be_read_does_not_end_what_may_be_staged(executor: Executor) -> None:
    """Only the table can end it, and nobody knows which table: it waits for the right key."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    await executor.world.executor.about_to_stage(await executor.world.claim(batch_id))
    executor.world.now += LEASE + timedelta(seconds=1)
    executor.definitions.before("of", Permanent("sealed with another key", code="secret_unreadable"))
    await executor.work(batch_id)
    row = executor.world.ledger.batches[batch_id]
    assert (BatchState.LEASED, None, None) == (row.state, row.lease_until, executor.ends_as())
    await executor.work(batch_id)
    executor.world.check([0, 1])


async def test_a_bug_ends_its_batch_and_no_other(executor: Executor) -> None:
    """It is told as what it is, and the second batch of the run is loaded."""
    one, other = await executor.world.plan_batches({"a.json": lines(0)}, {"b.json": lines(1)})
    executor.table.before("schema", ZeroDivisionError())
    await executor.work(one)
    await executor.work(other)
    assert (["internal_error"], "partial") == (executor.told(), executor.ends_as())
    executor.world.check([1])


async def test_a_batch_that_kills_its_executors_is_given_up(executor: Executor) -> None:
    """Out of memory, time and again: after eight of them the user is told, with a remedy."""
    batch_id = await executor.world.plan(a=lines(0))
    for _ in range(8):
        claim = await executor.world.claim(batch_id)
        await executor.world.executor.about_to_stage(claim)
        executor.world.now += LEASE + timedelta(seconds=1)
    await executor.work(batch_id)
    assert (BatchState.BURNED, ["too_many_attempts"]) == (executor.state(batch_id), executor.told())


@pytest.mark.parametrize(
    "call", ["standing", "files", "about_to_stage", "staged", "publishing", "published", "claim", "has_published"]
)
@pytest.mark.parametrize("lost", [False, True])
async def test_the_database_goes_away_at_any_call(executor: Executor, call: str, lost: bool) -> None:
    """Before the change or after it: the message is repeated by the consumer, and the batch ends well."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    (executor.ledger.after if lost else executor.ledger.before)(call, NO_DATABASE)
    with pytest.raises(Temporary):
        await executor.work(batch_id)
    executor.world.now += LEASE + timedelta(seconds=1)
    await executor.work(batch_id)
    executor.world.check([0, 1])


@pytest.mark.parametrize("call", ["burning", "burned"])
@pytest.mark.parametrize("lost", [False, True])
async def test_the_database_goes_away_during_a_burn(executor: Executor, call: str, lost: bool) -> None:
    """The bad file is found again by the batch that carries the files on."""
    executor.world.tolerate("skip_file")
    batch_id = await executor.world.plan(a=lines(0, 1), b=b"bad\n")
    (executor.ledger.after if lost else executor.ledger.before)(call, NO_DATABASE)
    with pytest.raises(Temporary):
        await executor.work(batch_id)
    await executor.world.settle()
    executor.world.check([0, 1])
    assert {"a": FileState.COMMITTED, "b": FileState.FAILED} == executor.world.states()


async def test_an_executor_that_stops_hands_its_batch_back_at_once() -> None:
    """Nobody has to wait for the lease to end."""
    executor = Executor()
    batch_id = await executor.world.plan(a=lines(0, 1))
    staging = asyncio.Event()
    executor.table.meanwhile("stage", lambda: _forever(staging))
    task = asyncio.create_task(executor.work(batch_id))
    await staging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    row = executor.world.ledger.batches[batch_id]
    assert (None, "its executor was stopped") == (row.lease_until, row.last_error)
    await executor.work(batch_id)
    executor.world.check([0, 1])


async def test_an_executor_that_lost_its_lease_stops_in_the_middle() -> None:
    """The heartbeat finds out while Spark still works; the successor's publish is the only one."""
    executor = Executor(heartbeat=timedelta(milliseconds=5))
    batch_id = await executor.world.plan(a=lines(0, 1))
    staging = asyncio.Event()
    executor.table.meanwhile("stage", lambda: _forever(staging))
    zombie = asyncio.create_task(executor.work(batch_id))
    await staging.wait()
    executor.world.now += LEASE + timedelta(seconds=1)
    successor = await executor.world.claim(batch_id)
    with pytest.raises(Fenced):
        await zombie
    assert "publish" not in executor.table.calls
    await executor.world.attempt(successor)
    executor.world.check([0, 1])


async def _forever(reached: asyncio.Event) -> None:
    reached.set()
    await asyncio.Event().wait()


async def test_the_sweeper_takes_over_what_nobody_works_on(executor: Executor) -> None:
    """A message that never came, and an executor that vanished; a bug in one batch does not end the sweeping."""
    lost, vanished, buggy = await executor.world.plan_batches(
        {"a.json": lines(0)}, {"b.json": lines(1)}, {"c.json": lines(2)}
    )
    await executor.world.claim(vanished)
    executor.world.now += 2 * LEASE
    executor.ledger.before("claim", ZeroDivisionError())
    sweeper = batch_sweeper(
        cast("BatchLedger", executor.ledger.around(executor.world.executor)),
        executor.batches,
        "fresh",
        interval=timedelta(milliseconds=1),
        at_once=2,
    )
    sweeping = asyncio.create_task(sweeper.run())

    async def time_passes() -> bool:
        executor.world.now += 2 * LEASE
        return {executor.state(b) for b in (lost, vanished, buggy)} <= FINAL_BATCH_STATES

    await eventually(time_passes)
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping
    executor.world.check([0, 1, 2])


async def test_a_broken_file_that_was_overwritten_meanwhile_is_not_blamed(executor: Executor) -> None:
    """What was read of it may have ended where the version before it did."""
    broken = gzip.compress(lines(*range(100, 400)))[:100]
    [batch_id] = await executor.world.plan_batches({"a.json": lines(0), "b.json.gz": broken})
    executor.world.objects.put("landing", "data/b.json.gz", broken + b"more")
    await executor.work(batch_id)
    assert "unreadable_file" not in executor.told()


@pytest.mark.parametrize("has_table", [False, True])
async def test_broken_files_are_set_aside_and_the_others_load(executor: Executor, has_table: bool) -> None:
    """Cut short: no attempt and no later run can read them, and they must not hold up the rest."""
    whole = gzip.compress(lines(*range(100, 400)))
    if has_table:
        await executor.world.table().create(
            await executor.world.table().infer([executor.world.objects.put("landing", "x", lines(0))])
        )
    [batch_id] = await executor.world.plan_batches(
        {"a.json": lines(0, 1), "b.json.gz": whole[:100], "c.json.gz": gzip.compress(lines(2)), "d.json.gz": whole[:-4]}
    )
    await executor.work(batch_id)
    assert ["unreadable_file", "unreadable_file"] == executor.told()
    await executor.world.settle()
    executor.world.check([0, 1, 2])
    assert {
        "a": FileState.COMMITTED,
        "b.json.gz": FileState.FAILED,
        "c.json.gz": FileState.COMMITTED,
        "d.json.gz": FileState.FAILED,
    } == executor.world.states()


async def test_two_spellings_in_the_first_files_make_one_column(executor: Executor) -> None:
    """The file that came second in the schema is named, with the field; the other is loaded."""
    batch_id = await executor.world.plan(a=lines(0, region="eu"), b=lines(1, Region="eu"))
    await executor.work(batch_id)
    assert ["field_name_clash"] == executor.told()
    await executor.world.settle()
    executor.world.check([0])
    assert ["id", "region"] == [f.name for f in executor.world.warehouse.tables[TO.identifier].schema.fields]


async def test_two_batches_that_bring_two_spellings_make_one_column(executor: Executor) -> None:
    """Both look at the table before either has changed it."""
    one, other = await executor.world.plan_batches({"a.json": lines(0, new=1)}, {"b.json": lines(1, New=1)})
    table = executor.world.table()
    await table.create(await table.infer([executor.world.objects.put("landing", "x", lines(0))]))
    await asyncio.gather(executor.work(one), executor.work(other))
    await executor.world.settle()
    assert ["field_name_clash"] == executor.told()
    [column] = [f.name for f in executor.world.warehouse.tables[TO.identifier].schema.fields if f.name.lower() == "new"]
    executor.world.check([0] if column == "new" else [1])


async def test_a_table_that_was_made_and_loaded_meanwhile_is_not_gone(executor: Executor) -> None:
    """Two executors begin with the first batches of a new table: it is not there, and a moment later it has rows."""
    one, other = await executor.world.plan_batches({"a.json": lines(0)}, {"b.json": lines(1)})

    async def the_other_is_faster() -> None:
        await executor.world.attempt(await executor.world.claim(other))

    executor.ledger.meanwhile("has_published", the_other_is_faster)
    await executor.work(one)
    assert [] == executor.told()
    executor.world.check([0, 1])


async def test_a_struct_that_another_batch_widened_is_looked_at_again(executor: Executor) -> None:
    """Between this batch's look at the table and its stage."""
    batch_id = await executor.world.plan(a=lines(0, s={"x": 1}))
    table = executor.world.table()
    await table.create(await table.infer([executor.world.objects.put("landing", "x", lines(0, s={"x": 1}))]))
    executor.table.meanwhile("stage", lambda: table.add([Addition(("s", "y"), "bigint")]))
    await executor.work(batch_id)
    executor.world.check([0])
    assert 2 == executor.table.calls.count("stage")


async def test_files_of_empty_objects_cannot_begin_a_table(executor: Executor) -> None:
    """Nothing could hold their rows; the files fail, the run ends, and a later file begins the table."""
    executor.world.tolerate("skip_file")
    batch_id = await executor.world.plan(a=b"{}\n{}\n")
    await executor.work(batch_id)
    assert (["unparsable_file"], "failed") == (executor.told(), executor.ends_as())
    executor.world.check([])


async def test_a_table_that_is_dropped_under_the_batch_takes_its_copies_along(executor: Executor) -> None:
    """Staged, given up, and no table to burn in: the batch ends all the same."""
    batch_id = await executor.world.plan(a=lines(0))

    async def drop() -> None:
        del executor.world.warehouse.tables[TO.identifier]
        executor.table.before("schema", Permanent("x", code="y"))

    executor.table.after("stage", FAILED)
    executor.table.meanwhile("published", drop)
    await executor.work(batch_id)
    assert (BatchState.BURNED, ["y"]) == (executor.state(batch_id), executor.told())


async def test_whose_clock_is_wrong_leaves_the_batch_to_another(executor: Executor) -> None:
    """One attempt, no blame for the files, and no claim as long as it stands aside (F49)."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    right, executor = executor, Executor(executor.world, aside=Aside(PAUSE, behind_us(timedelta(hours=1))))
    executor.table.before("stage", SKEWED, times=ALWAYS)
    for _ in range(3):
        await executor.work(batch_id)
    assert (1, []) == (executor.world.ledger.batches[batch_id].attempts, executor.told())
    await right.work(batch_id)
    executor.world.check([0, 1])
    assert 2 == executor.world.ledger.batches[batch_id].attempts


async def test_a_store_whose_clock_is_wrong_is_told_at_once(executor: Executor) -> None:
    """Ours agrees with the database's: nobody would do better (F49)."""
    batch_id = await executor.world.plan(a=lines(0, 1))
    executor.table.before("stage", SKEWED, times=ALWAYS)
    await executor.work(batch_id)
    assert (BatchState.BURNED, ["clock_skewed"]) == (executor.state(batch_id), executor.told())
    assert 1 == executor.world.ledger.batches[batch_id].attempts
    assert not executor.aside.is_on()
