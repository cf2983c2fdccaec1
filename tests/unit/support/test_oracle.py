"""The oracle of the fault suite: what it must see in tables and ledger."""

import pytest

from tests.support.oracle import Generations, Loaded, Refreshed, broken_between, broken_in_tables

ME = "00000000-0000-4000-8000-00000000000a"


REFRESHED = Generations([Refreshed("r", "full", 1, 2, "t__g1")], "t").belongs


def wap_id(batch: str, generation: int = 1) -> str:
    return f"al1:{ME}:{generation}:{batch}"


def test_tables_that_agree_with_the_ledger_are_whole() -> None:
    """Also with burns, with what others wrote, and with an empty burn of the last generation in the table of this."""
    ancestries = {
        1: {wap_id("a"): [50], wap_id("burned"): [0]},
        2: {wap_id("b", 2): [7], wap_id("late"): [0], "somebody-elses": [3]},
    }
    batches = [
        Loaded(1, wap_id("a"), 50),
        Loaded(1, wap_id("burned"), None),
        Loaded(1, wap_id("late"), None),
        Loaded(2, wap_id("b", 2), 7),
    ]
    assert [] == broken_in_tables(ME, ancestries, REFRESHED) + broken_between(batches, ancestries)


def test_a_wap_id_that_is_there_twice_is_seen() -> None:
    assert [f"I2: {wap_id('a')} is 2 times in the ancestry"] == broken_in_tables(
        ME, {1: {wap_id("a"): [0, 50]}}, REFRESHED
    )


def test_a_batch_in_the_table_of_another_generation_is_seen() -> None:
    assert [f"I6: {wap_id('a')} is in the table of generation 2"] == broken_in_tables(
        ME, {2: {wap_id("a"): [50]}}, REFRESHED
    )


@pytest.mark.parametrize(
    ("in_ledger", "ancestries", "seen"),
    [
        (50, {}, "I4, I7: {}: 50 rows in the ledger, 0 in the table"),
        (0, {1: {}}, "I4, I7: {}: 0 rows in the ledger, 0 in the table"),
        (50, {1: {wap_id("a"): [49]}}, "I4, I7: {}: 50 rows in the ledger, 49 in the table"),
        (50, {2: {wap_id("a"): [50]}}, "I4, I7: {}: 50 rows in the ledger, 0 in the table"),
        (None, {1: {wap_id("a"): [50]}}, "I4: {} was burned, and 50 rows of it are in the table"),
    ],
)
def test_a_batch_on_which_they_differ_is_seen(
    in_ledger: int | None, ancestries: dict[int, dict[str, list[int]]], seen: str
) -> None:
    batch = Loaded(1, wap_id("a"), in_ledger)
    assert [seen.format(wap_id("a"))] == broken_between([batch], ancestries)


def test_a_table_that_an_undo_brought_back_has_a_new_number() -> None:
    """Its batches, planned under the old one, belong there; those of the table that it replaced do not."""
    refreshes = [Refreshed("r", "full", 1, 2, "t__g1"), Refreshed("u", "undo", 2, 3, "t__g2", undoes="r")]
    generations = Generations(refreshes, "t")
    assert {2: "t__g2", 3: "t"} == generations.tables
    assert [] == broken_in_tables(ME, {3: {wap_id("a"): [50]}}, generations.belongs)
    assert [f"I6: {wap_id('b', 2)} is in the table of generation 3"] == broken_in_tables(
        ME, {3: {wap_id("b", 2): [50]}}, generations.belongs
    )


@pytest.mark.parametrize("mode", ["clear_history", "delete"])
def test_a_generation_may_end_while_its_table_stays(mode: str) -> None:
    """Batches of before are still there; they are seen twice only if they are there twice."""
    generations = Generations([Refreshed("c", mode, 1, 2, None)], "t")
    assert {1: "t", 2: "t"} == generations.tables
    both = {wap_id("a"): [50], wap_id("b", 2): [50]}
    assert [] == broken_in_tables(ME, {1: both, 2: both}, generations.belongs)


BUILT = Refreshed("r", "full", 1, 2, None, builds="t__new")
SWAPPED = [BUILT, Refreshed("s", "swap", 2, 3, None, completes="r")]


@pytest.mark.parametrize(
    ("refreshes", "tables", "dropped"),
    [
        pytest.param([BUILT], {1: "t", 2: "t__new"}, set(), id="is being built"),
        pytest.param(SWAPPED, {1: "t", 3: "t"}, {2}, id="took the place"),
        pytest.param([BUILT, Refreshed("u", "undo", 2, 3, None, undoes="r")], {3: "t"}, {2}, id="was given up"),
        pytest.param(
            [*SWAPPED, Refreshed("u", "undo", 3, 4, None, undoes="r")], {1: "t", 3: "t", 4: "t"}, {2}, id="was undone"
        ),
    ],
)
def test_a_table_that_was_built_aside(refreshes: list[Refreshed], tables: dict[int, str], dropped: set[int]) -> None:
    """The old one keeps its place. What was planned for the built one belongs nowhere else."""
    generations = Generations(refreshes, "t")
    assert (tables, dropped) == (generations.tables, generations.dropped)
    in_place = max(generation for generation, name in tables.items() if name == "t")
    assert [f"I6: {wap_id('b', 2)} is in the table of generation {in_place}"] == broken_in_tables(
        ME, {in_place: {wap_id("b", 2): [50]}}, generations.belongs
    )
