"""What must be true of the world after every step, and what must be true of it when everything has come to rest.

The numbers are those of ARCHITECTURE.md.
"""

from collections import Counter

from libs.common.contracts.events import FileBatchCommitted, RunCompleted, ScanFailed
from libs.common.ids import RunId
from libs.common.ledger.states import FINAL_BATCH_STATES, LIVE_FILE_STATES, BatchState, FileState, ScanState
from libs.common.lifecycle.run import RunStatus
from tests.model.lake import Lake
from tests.model.world import World

_TOLD_BY_THEIR_STATE = (FileState.MISSING, FileState.SUPERSEDED, FileState.SKIPPED)


def check_always(world: World) -> None:
    """After every step, whoever stands in the middle of whatever."""
    assert not world.bugs, f"a bug: {world.bugs[0]!r}"
    lake = Lake(world)
    _no_row_is_there_twice(lake)
    _a_table_holds_one_generation(lake)
    _a_file_is_in_one_batch(world)
    _a_batch_happened_once_and_the_ledger_does_not_run_ahead(world, lake)
    _bad_records_are_there_once_and_beside_their_rows(lake)
    _a_run_tells_its_story_without_a_gap(world)
    _a_run_that_ended_well_loaded_what_it_found(world)
    _nobody_makes_up_that_a_file_is_gone(world)


def check_at_rest(world: World) -> None:
    """When nothing goes wrong any more and everybody has finished."""
    check_always(world)
    lake = Lake(world)
    assert world.is_at_rest(), "I5: something is unfinished"
    assert not world.processes, "I5: a process stands for ever"
    states = {row.state for row in world.ledger.files.values()}
    states |= {row.state for row in world.ledger.replacements.values()}
    assert FileState.BATCHED not in states, "I5: a file waits for ever"
    assert world.api.generation == lake.current, "the API and the table are in different generations"
    for generation in range(1, lake.current + 1):
        _a_table_has_the_rows_of_its_committed_files(world, lake, generation)
        _the_bad_records_of_committed_files_are_set_aside(world, lake, generation)
        _table_and_ledger_tell_the_same_story(world, lake, generation)
        _counts_close(world, lake, generation)
    _every_valid_file_is_loaded(world)
    if world.follows_notifications:
        assert not world.ledger.hints, "a hint waits for ever"
    _a_refresh_kept_what_it_had_to_keep(world, lake)


def _no_row_is_there_twice(lake: Lake) -> None:
    for generation in lake.tables:
        twice = [i for i, times in lake.ids(generation).items() if times > 1]
        assert not twice, f"rows duplicated in the table of generation {generation}: {twice}"


def _a_table_holds_one_generation(lake: Lake) -> None:
    """An executor that burns late may put its empty snapshot into a newer table, which changes nothing there."""
    for generation in lake.tables:
        strangers = lake.generations_in(generation) - lake.sharing(generation)
        assert not strangers, f"I6: the table of generation {generation} got batches of {sorted(strangers)}"


def _a_file_is_in_one_batch(world: World) -> None:
    in_batch = Counter(row.batch_id for row in world.ledger.files.values() if row.state is FileState.BATCHED)
    in_batch.update(of for (of, _), row in world.ledger.replacements.items() if row.state is FileState.BATCHED)
    for batch in world.ledger.batches.values():
        if batch.state not in FINAL_BATCH_STATES:
            assert in_batch[batch.id] == batch.file_count, "I1: a live batch lost a file to another one"
    live = Counter(
        at[:3] for at, row in world.ledger.files.items() if row.state in LIVE_FILE_STATES and not row.overwritten
    )
    assert all(times == 1 for times in live.values()), "I1: a key is live in two versions"


def _a_batch_happened_once_and_the_ledger_does_not_run_ahead(world: World, lake: Lake) -> None:
    for table in lake.tables.values():
        wap_ids = Counter(snapshot.wap_id for snapshot in table.current() if snapshot.wap_id)
        assert all(times == 1 for times in wap_ids.values()), "I2: a wap id is in the ancestry twice"
    for (_, generation, _, _), row in world.ledger.files.items():
        if row.state is FileState.COMMITTED:
            is_published = row.batch_id in lake.batches(generation)
            assert is_published, f"I4: {row.version.key} is committed, its batch is not published"
    for batch in world.ledger.batches.values():
        if batch.state is BatchState.BURNED:
            assert batch.id not in lake.batches(batch.generation), "I4: a burned batch is in the table"


def _bad_records_are_there_once_and_beside_their_rows(lake: Lake) -> None:
    for batch_id, texts in lake.quarantined.items():
        assert all(times == 1 for times in texts.values()), "bad records duplicated"
        assert any(batch_id in lake.batches(g) for g in lake.tables), "bad records of a batch that did not happen"


def _a_run_tells_its_story_without_a_gap(world: World) -> None:
    for run_id in world.api.runs:
        facts = world.ledger.facts(run_id)
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1)), "I8: seq has a gap"
        assert all(not isinstance(fact, RunCompleted) for fact in facts[:-1]), "I8: a run went on after its end"


def _a_run_that_ended_well_loaded_what_it_found(world: World) -> None:
    """Or told what became of it. What another run has found again since is that run's."""
    for scan in world.ledger.scans.values():
        if scan.state is not ScanState.ENDED or scan.outcome not in ("success", "partial"):
            continue
        was_cut_short = any(isinstance(fact, ScanFailed) for fact in world.ledger.facts(scan.run_id))
        for at, row in world.ledger.files.items():
            if row.run_id != scan.run_id or at[1] != scan.generation:
                continue
            is_told = row.problem is not None or row.state in _TOLD_BY_THEIR_STATE
            is_loaded = row.state is FileState.COMMITTED
            assert is_loaded or is_told or was_cut_short, f"a run found {row.version.key} and left it {row.state}"
            if scan.outcome == "success":
                is_left = row.state in (FileState.SUPERSEDED, FileState.SKIPPED)
                assert is_loaded or is_left, f"a run ended well, and {row.version.key} is {row.state}"
        if not was_cut_short:
            totals = scan.totals
            ended = totals.files_done + totals.files_failed
            assert totals.files_discovered == ended, f"I7: {totals.files_discovered} files found, {ended} ended"


def _nobody_makes_up_that_a_file_is_gone(world: World) -> None:
    for row in world.ledger.files.values():
        if row.state in (FileState.MISSING, FileState.SUPERSEDED):
            is_gone = (row.version.key, row.version.version_tag) in world.gone
            assert is_gone, f"{row.version.key} is told {row.state}, and was never touched"


def _a_table_has_the_rows_of_its_committed_files(world: World, lake: Lake, generation: int) -> None:
    """Also an old one, under the name that it was set aside by."""
    committed = [
        world.bodies[row.version.key, row.version.version_tag]
        for at, row in world.ledger.files.items()
        if at[1] == generation and row.state is FileState.COMMITTED
    ]
    expected = Counter(i for body in committed for i in body.ids)
    there = lake.ids(generation)
    assert not expected - there, f"rows lost of generation {generation}: {sorted(expected - there)}"
    assert not there - expected, f"rows of files that are not committed: {sorted(there - expected)}"
    assert all(body.is_valid for body in committed), "a broken file was loaded"


def _the_bad_records_of_committed_files_are_set_aside(world: World, lake: Lake, generation: int) -> None:
    for at, row in world.ledger.files.items():
        if at[1] == generation and row.state is FileState.COMMITTED and row.batch_id is not None:
            bad = Counter(world.bodies[row.version.key, row.version.version_tag].bad)
            assert not bad - lake.quarantined[row.batch_id], f"bad records of {row.version.key} lost"


def _table_and_ledger_tell_the_same_story(world: World, lake: Lake, generation: int) -> None:
    batches = [b for b in world.ledger.batches.values() if b.generation == generation]
    published = {b.id for b in batches if b.state is BatchState.PUBLISHED}
    assert lake.batches(generation) == published, "I4: table and ledger tell different stories"


def _every_valid_file_is_loaded(world: World) -> None:
    """In the version that is there now, where the policy is to load it; a key that is overwritten after it was loaded
    keeps its first version otherwise, and so does one that was loaded before a new-only refresh. Of a key whose policy
    never was ``append`` one version is loaded."""
    loaded: dict[str, set[str]] = {}
    for at, row in world.ledger.files.items():
        if at[1] == world.api.generation and row.state in (FileState.COMMITTED, FileState.BASELINE):
            loaded.setdefault(row.version.key, set()).add(row.version.version_tag)
    if "append" not in world.policies:
        assert all(len(versions) == 1 for versions in loaded.values()), "two versions of one key are loaded"
    for version in world.current_files():
        if not world.bodies[version.key, version.version_tag].is_valid:
            continue
        versions = loaded.get(version.key, set())
        assert versions, f"rows lost: {version.key} was never loaded"
        if _loads_overwrites(world):
            assert version.version_tag in versions, f"rows lost: {version.key} was overwritten, and not loaded again"


def _loads_overwrites(world: World) -> bool:
    """Where a history was cleared, the rows that it told of are nobody's, and are not replaced."""
    is_cleared = any(refresh.command.mode == "clear_history" for refresh in world.api.refreshes.values())
    return world.policies[-1] == "append" or (world.policies[-1] == "replace" and not is_cleared)


def _counts_close(world: World, lake: Lake, generation: int) -> None:
    """I7: what runs say they loaded is what the table holds; what the API shows is what was said."""
    records = aside = 0
    for run_id in (id_ for id_, order in world.api.orders.items() if lake.now(order.generation) == generation):
        facts, run = world.ledger.facts(run_id), world.api.runs[run_id]
        if not facts:
            _never_began(world, run_id)
            continue
        assert isinstance(facts[-1], RunCompleted), "I5: a run never ended"
        assert run.status is RunStatus(facts[-1].outcome), "I8: the API shows another end than the run had"
        assert run.totals == facts[-1].totals, "I8: the API shows other totals than the run had"
        told = sum(fact.records for fact in facts if isinstance(fact, FileBatchCommitted))
        assert told == facts[-1].totals.records_ingested, "I7: a run's batches and its total differ"
        bad = sum(fact.records_quarantined for fact in facts if isinstance(fact, FileBatchCommitted))
        assert bad == facts[-1].totals.records_quarantined, "I7: a run's batches and its bad records differ"
        aside += bad
        assert facts[-1].totals.batches_done == facts[-1].totals.batches_planned, "I7: a batch of a run never ended"
        records += told
    batches = [b for b in world.ledger.batches.values() if b.generation == generation]
    removed = sum(b.rows_removed for b in batches if b.state is BatchState.PUBLISHED)
    assert records - removed == sum(lake.ids(generation).values()), "I7: the runs' totals and the table differ"
    there = sum(sum(lake.quarantined[batch_id].values()) for batch_id in lake.batches(generation))
    # Bad records leave the quarantine with the rows that they were beside.
    is_whole = "replace" not in world.policies
    assert (aside == there) if is_whole else (aside >= there), "I7: the runs' totals and the quarantine differ"


def _never_began(world: World, run_id: RunId) -> None:
    is_old = world.api.orders[run_id].generation < world.api.generation
    assert is_old, "I5: nobody ever took a run up"
    assert world.api.runs[run_id].status is RunStatus.CANCELLED, "I5: a run that cannot begin any more never ended"


def _a_refresh_kept_what_it_had_to_keep(world: World, lake: Lake) -> None:
    """The old table under the name that the API was told; new-only, and no other: what was loaded, as baseline."""
    for refresh_id, refresh in world.api.refreshes.items():
        old, new = lake.now(refresh.command.from_generation), lake.now(refresh.command.to_generation)
        if not refresh.is_done or lake.is_undone(refresh_id):
            continue
        there = world.warehouse.tables.get(refresh.kept_as) if refresh.kept_as else None
        if refresh.command.mode != "clear_history":
            assert there is lake.tables.get(old), "the old table is not where the API was told"
        carried = lake.files(new, FileState.BASELINE)
        expected = lake.files(old, FileState.BASELINE, FileState.COMMITTED)
        if refresh.command.mode == "full":
            assert not carried, "a full refresh kept history"
        elif refresh.command.mode == "new_only":
            # A version that was overwritten may have given way to a later one since.
            replaced = lake.files(new, FileState.SUPERSEDED) if "replace" in world.policies else set()
            assert carried <= expected <= carried | replaced, "a new-only refresh lost history, or made some up"
