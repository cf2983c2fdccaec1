"""What must be true of the world after every step, and what must be true of it when everything has come to rest.

The numbers are those of ARCHITECTURE.md.
"""

import json
from collections import Counter
from collections.abc import Iterable

from libs.common.contracts.events import FileBatchCommitted, RunCompleted
from libs.common.ids import BatchId
from libs.common.ledger.states import FINAL_BATCH_STATES, LIVE_FILE_STATES, BatchState, FileState
from libs.common.lifecycle.run import RunStatus
from tests.model.world import TO, Body, World
from tests.support.memory_warehouse import Snapshot


def check_always(world: World) -> None:
    """After every step, whoever stands in the middle of whatever."""
    assert not world.bugs, f"a bug: {world.bugs[0]!r}"
    _no_row_is_there_twice(world)
    _a_file_is_in_one_batch(world)
    _a_batch_happened_once_and_the_ledger_does_not_run_ahead(world)
    _a_run_tells_its_story_without_a_gap(world)


def check_at_rest(world: World) -> None:
    """When nothing goes wrong any more and everybody has finished."""
    check_always(world)
    assert world.is_at_rest(), "I5: something is unfinished"
    assert not world.processes, "I5: a process stands for ever"
    assert FileState.BATCHED not in {row.state for row in world.ledger.files.values()}, "I5: a file waits for ever"
    committed = list(_committed(world))
    expected = Counter(i for body in committed for i in body.ids)
    there = _ids(world)
    assert not expected - there, f"rows lost: {sorted(expected - there)}"
    assert not there - expected, f"rows of files that are not committed: {sorted(there - expected)}"
    assert all(body.is_valid for body in committed), "a broken file was loaded"
    _every_valid_file_is_loaded(world)
    published = {b.id for b in world.ledger.batches.values() if b.state is BatchState.PUBLISHED}
    assert _batches_in_the_table(world) == published, "I4: table and ledger tell different stories"
    _counts_close(world)


def _no_row_is_there_twice(world: World) -> None:
    twice = [i for i, times in _ids(world).items() if times > 1]
    assert not twice, f"rows duplicated: {twice}"


def _a_file_is_in_one_batch(world: World) -> None:
    in_batch = Counter(row.batch_id for row in world.ledger.files.values() if row.state is FileState.BATCHED)
    for batch in world.ledger.batches.values():
        if batch.state not in FINAL_BATCH_STATES:
            assert in_batch[batch.id] == batch.file_count, "I1: a live batch lost a file to another one"
    live = Counter(row.version.key for row in world.ledger.files.values() if row.state in LIVE_FILE_STATES)
    assert all(times == 1 for times in live.values()), "I1: a key is live in two versions"


def _a_batch_happened_once_and_the_ledger_does_not_run_ahead(world: World) -> None:
    wap_ids = Counter(snapshot.wap_id for snapshot in _ancestry(world) if snapshot.wap_id)
    assert all(times == 1 for times in wap_ids.values()), "I2: a wap id is in the ancestry twice"
    in_the_table = _batches_in_the_table(world)
    for row in world.ledger.files.values():
        if row.state is FileState.COMMITTED:
            assert row.batch_id in in_the_table, f"I4: {row.version.key} is committed, its batch is not published"
    for batch in world.ledger.batches.values():
        if batch.state is BatchState.BURNED:
            assert batch.id not in in_the_table, "I4: a burned batch is in the table"


def _a_run_tells_its_story_without_a_gap(world: World) -> None:
    for run_id in world.runs:
        facts = world.ledger.facts(run_id)
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1)), "I8: seq has a gap"
        assert all(not isinstance(fact, RunCompleted) for fact in facts[:-1]), "I8: a run went on after its end"


def _every_valid_file_is_loaded(world: World) -> None:
    """A key that is overwritten after it was loaded keeps its first version (allow_overwrites: skip)."""
    loaded = Counter(row.version.key for row in world.ledger.files.values() if row.state is FileState.COMMITTED)
    assert all(times == 1 for times in loaded.values()), "two versions of one key are loaded"
    for version in world.current_files():
        if world.bodies[version.key, version.version_tag].is_valid:
            assert loaded[version.key] == 1, f"rows lost: {version.key} was never loaded"


def _counts_close(world: World) -> None:
    """I7: what runs say they loaded is what the table holds; what the API shows is what was said."""
    records = 0
    for run_id, run in world.runs.items():
        facts = world.ledger.facts(run_id)
        assert isinstance(facts[-1], RunCompleted), "I5: a run never ended"
        assert run.status is RunStatus(facts[-1].outcome), "I8: the API shows another end than the run had"
        assert run.totals == facts[-1].totals, "I8: the API shows other totals than the run had"
        told = sum(fact.records for fact in facts if isinstance(fact, FileBatchCommitted))
        assert told == facts[-1].totals.records_ingested, "I7: a run's batches and its total differ"
        assert facts[-1].totals.batches_done == facts[-1].totals.batches_planned, "I7: a batch of a run never ended"
        records += told
    assert records == sum(_ids(world).values()), "I7: the runs' totals and the table differ"


def _ancestry(world: World) -> list[Snapshot]:
    table = world.warehouse.tables.get(TO.identifier)
    return [table.snapshots[number] for number in table.ancestry] if table else []


def _batches_in_the_table(world: World) -> set[BatchId]:
    """Whose rows are there, not an empty burn."""
    data = {snapshot.wap_id for snapshot in _ancestry(world) if not snapshot.is_burn}
    return {b.id for b in world.ledger.batches.values() if f"al1:{b.ingestion_id}:{b.generation}:{b.id}" in data}


def _ids(world: World) -> Counter[int]:
    return Counter(json.loads(row)["id"] for row in world.rows())


def _committed(world: World) -> Iterable[Body]:
    for row in world.ledger.files.values():
        if row.state is FileState.COMMITTED:
            yield world.bodies[row.version.key, row.version.version_tag]
