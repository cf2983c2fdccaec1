"""The page about speed: figures from results, words from people."""

from datetime import UTC, datetime

import pytest

from bench.goals import GOALS, verdicts
from bench.measures import NotDone, Took, Variant
from bench.page import BEGIN, END, PAGE, anew
from bench.results import LATEST, Machine, Measured, Results

MACHINE = Machine(
    cores=2,
    memory_bytes=8 * 1024**3,
    processor="a processor",
    system="Linux",
    python="3.11",
    java="17",
    spark="4.1.1",
    spark_master="local[*]",
    spark_compiles_fully=True,
    load_average=0.1,
    commit="abc",
)
WORDS = f"# Speed\n\nA person's words.\n\n{BEGIN}\nold figures\n{END}\n\nMore words.\n"


def variant(*seconds: float, snapshots: int = 1) -> Variant:
    rounds = {n: Took(seconds=each, rows=1, snapshots=snapshots) for n, each in enumerate(seconds, 1)}
    return Variant(title="a variant", rounds=rounds, files=10)


def measured(**variants: Variant) -> Measured:
    return Measured(
        title="files", files=10, rows=10, bytes=10, variants={k.replace("_", "-"): v for k, v in variants.items()}
    )


def results(**workloads: Measured) -> Results:
    return Results(made_at=datetime(2026, 1, 1, tzinfo=UTC), machine=MACHINE, rounds=3, workloads={**workloads})


def test_what_a_person_wrote_stays() -> None:
    page = anew(WORDS, results(w1=measured(ours=variant(1.0))))

    assert page.startswith("# Speed\n\nA person's words.")
    assert page.endswith("More words.\n")
    assert "old figures" not in page


def test_writing_it_twice_changes_nothing() -> None:
    found = results(w1=measured(ours=variant(1.0)))

    assert anew(WORDS, found) == anew(anew(WORDS, found), found)


def test_a_page_without_its_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="the page needs the line"):
        anew("# Speed\n", results())


@pytest.mark.parametrize(("ours_s", "word"), [(1.25, "| reached |"), (1.35, "| **not reached** |")])
def test_a_goal_is_told_reached_or_not(ours_s: float, word: str) -> None:
    page = anew(WORDS, results(w1=measured(ours=variant(ours_s, ours_s), spark_folder=variant(1.0, 1.0))))

    [line] = [line for line in page.splitlines() if "1.3 times the floor" in line]
    assert line.endswith(word)


def test_what_was_not_measured_is_no_goal_reached() -> None:
    assert not any(each.is_reached for each in verdicts({}))
    assert len(GOALS) == anew(WORDS, results()).count("| not measured | – |")


def test_known_files_are_held_against_the_quickest_listing() -> None:
    """Which client that is, the run itself says."""
    found = measured(ours_new=variant(1.4), list_boto3=variant(2.0), list_obstore=variant(1.0))

    [verdict] = [each for each in verdicts({"w4": found}) if each.found is not None]

    assert verdict.found is not None
    assert 1.4 == verdict.found.median
    assert verdict.is_reached


def test_snapshots_are_counted_in_the_worst_round() -> None:
    found = measured(ours=variant(1.0, 1.0, snapshots=11))

    [verdict] = [each for each in verdicts({"tiny": found}) if each.goal.snapshots_max]

    assert not verdict.is_reached


def test_who_was_given_up_stands_there_with_the_reason() -> None:
    slow = Variant(title="a slow one", not_done=NotDone(reason="not done after 120 s"), files=10)

    page = anew(WORDS, results(w1=measured(ours=variant(1.0), dlt=slow)))

    assert "| a slow one | not done: not done after 120 s |" in page


def test_page_is_in_step_with_the_results() -> None:
    """What `python -m bench.page` would write is what is there."""
    assert PAGE.read_text() == anew(PAGE.read_text(), Results.load(LATEST))
