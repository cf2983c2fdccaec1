"""A run's facts may come twice and in any order; the run that they make is one and the same."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.events import (
    FileBatchCommitted,
    FileBatchFailed,
    Problem,
    RunCompleted,
    RunFact,
    ScanCompleted,
    ScanFailed,
    ScanProgress,
    ScanStarted,
    Totals,
)
from libs.common.lifecycle.run import FINAL, TRANSITIONS, Run, RunStatus, advance, outcome

RUN, INGESTION, BATCH = UUID(int=1), UUID(int=2), UUID(int=3)
START = datetime(2025, 1, 7, 12, tzinfo=UTC)


def fold(facts: Sequence[RunFact]) -> Run:
    return reduce(advance, facts, Run())


@st.composite
def stories(draw: st.DrawFn, *, ended: bool | None = None) -> list[RunFact]:
    """The facts of one run in the order in which they became true: seq from 1 without a gap, totals that grow."""
    facts: list[RunFact] = []
    totals = Totals()

    def common(growth: dict[str, int] | None = None) -> dict[str, object]:
        nonlocal totals
        grown = {name: getattr(totals, name) + by for name, by in (growth or {}).items()}
        totals = totals.model_copy(update=grown)
        seq = len(facts) + 1
        return {
            "run_id": RUN,
            "ingestion_id": INGESTION,
            "generation": 1,
            "seq": seq,
            "occurred_at": START + timedelta(seconds=seq),
            "totals": totals,
        }

    def problems() -> tuple[Problem, ...]:
        files = draw(st.lists(st.sampled_from("abc"), max_size=2, unique=True))
        return tuple(Problem(error_type="unparsable_file", message="bad", file=name) for name in files)

    facts.append(ScanStarted.model_validate({**common(), "attempt": 1}))
    for kind in draw(st.lists(st.sampled_from(["progress", "committed", "failed", "scanned", "broken"]), max_size=8)):
        match kind:
            case "progress":
                growth = {"files_discovered": draw(st.integers(0, 5))}
                facts.append(ScanProgress.model_validate({**common(growth), "problems": problems()}))
            case "committed":
                more = {"batch_id": BATCH, "snapshot_id": 1000 + len(facts), "files": 1, "records": 5, "size_bytes": 9}
                growth = {"files_done": 1, "records_ingested": draw(st.integers(0, 9))}
                facts.append(FileBatchCommitted.model_validate({**common(growth), **more}))
            case "failed":
                more = {"batch_id": BATCH, "problems": problems(), "files_failed": 1, "files_replanned": 0}
                facts.append(FileBatchFailed.model_validate({**common({"files_failed": 1}), **more}))
            case "scanned":
                warnings = draw(st.lists(st.sampled_from(["empty prefix", "odd keys"]), max_size=2))
                facts.append(ScanCompleted.model_validate({**common(), "warnings": warnings}))
            case "broken":
                problem = Problem(error_type="bucket_not_found", message="gone")
                facts.append(ScanFailed.model_validate({**common(), "problem": problem}))
    if draw(st.booleans()) if ended is None else ended:
        how = draw(st.sampled_from(["success", "partial", "failed", "cancelled"]))
        facts.append(RunCompleted.model_validate({**common(), "outcome": how}))
    return facts


@st.composite
def deliveries(draw: st.DrawFn, *, ended: bool | None = None) -> tuple[list[RunFact], list[RunFact]]:
    """A story, and how it was delivered: each fact at least once, some several times, in any order."""
    story = draw(stories(ended=ended))
    repeated = draw(st.lists(st.sampled_from(story), max_size=6))
    return story, list(draw(st.permutations([*story, *repeated])))


@given(deliveries())
def test_any_delivery_of_a_run_makes_the_same_run(both: tuple[list[RunFact], list[RunFact]]) -> None:
    """Duplicates and reordering leave no trace."""
    story, delivered = both
    assert fold(story) == fold(delivered)


@given(deliveries())
def test_the_run_has_the_numbers_of_its_last_fact(both: tuple[list[RunFact], list[RunFact]]) -> None:
    """Not of the fact that happened to come last."""
    story, delivered = both
    run = fold(delivered)
    assert story[-1].seq == run.seq
    assert story[-1].totals == run.totals
    assert story[0].occurred_at == run.started_at


@given(deliveries(ended=True))
def test_a_final_state_stays_final(both: tuple[list[RunFact], list[RunFact]]) -> None:
    """Once a delivery has ended the run, nothing moves its state, its end, its numbers or its seq."""
    _, delivered = both
    run = Run()
    for fact in delivered:
        before, run = run, advance(run, fact)
        if before.status in FINAL:
            assert (before.status, before.ended_at, before.totals, before.seq) == (
                run.status,
                run.ended_at,
                run.totals,
                run.seq,
            )
    assert run.status in FINAL
    assert run.ended_at is not None


@given(deliveries())
def test_seq_never_falls_and_states_move_along_the_table(both: tuple[list[RunFact], list[RunFact]]) -> None:
    """Each step is a transition of the table, or none."""
    run = Run()
    for fact in both[1]:
        before, run = run, advance(run, fact)
        assert run.seq >= before.seq
        assert run.status == before.status or run.status in TRANSITIONS[before.status]


@given(stories())
def test_a_fact_that_comes_again_at_once_changes_nothing(story: list[RunFact]) -> None:
    """``advance`` is idempotent."""
    run = Run()
    for fact in story:
        run = advance(run, fact)
        assert run == advance(run, fact)


@given(stories())
def test_problems_snapshots_and_warnings_are_all_kept(story: list[RunFact]) -> None:
    """Nothing that was told gets lost, whatever else comes."""
    run = fold(story)
    assert {f.snapshot_id for f in story if isinstance(f, FileBatchCommitted)} == run.snapshots
    told = {p for f in story if isinstance(f, FileBatchFailed | ScanProgress) for p in f.problems}
    told |= {f.problem for f in story if isinstance(f, ScanFailed)}
    assert told == run.problems
    assert {w for f in story if isinstance(f, ScanCompleted) for w in f.warnings} == run.warnings


@given(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.booleans())
def test_success_never_hides_a_failure(done: int, failed: int, scan_failed: bool, cancelled: bool) -> None:
    """``success`` means everything found is in the table; ``partial`` that something is; ``failed`` that nothing is."""
    how = outcome(Totals(files_done=done, files_failed=failed), scan_failed=scan_failed, cancelled=cancelled)
    trouble = failed > 0 or scan_failed
    expected = "cancelled" if cancelled else ("success" if not trouble else ("partial" if done else "failed"))
    assert expected == how
    assert RunStatus(how) in FINAL
