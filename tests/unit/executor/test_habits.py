"""When the faster way through files is tried, and when it is left alone."""

from uuid import uuid4

from libs.common.ids import IngestionId
from services.executor.domain.habits import LEFT_ALONE_MAX, REMEMBERED_MAX, Habit, Habits


def tried(habit: Habit, batches: int, *, plain: bool = False) -> list[int]:
    """The batches, of so many, with which it was tried and went one way."""
    found = []
    for n in range(batches):
        if habit.is_worth_a_try():
            found.append(n)
            habit.found(plain=plain)
    return found


def test_files_that_are_plain_are_always_tried() -> None:
    assert list(range(10)) == tried(Habit(), 10, plain=True)


def test_each_failure_leaves_it_alone_for_twice_as_long() -> None:
    assert [0, 2, 5, 10, 19, 36, 69, 134, 199] == tried(Habit(), 200)
    assert LEFT_ALONE_MAX == 64


def test_one_success_is_enough() -> None:
    habit = Habit()
    tried(habit, 40)
    while not habit.is_worth_a_try():
        pass
    habit.found(plain=True)
    assert [0, 2, 5] == tried(habit, 6)


def test_what_broke_off_is_not_met_twice_and_says_nothing_of_files() -> None:
    habit = Habit()
    habit.broke_off()
    assert [1, 3, 6] == tried(habit, 8)


def test_each_ingestion_has_its_own_and_only_so_many_are_kept() -> None:
    habits, mine, other = Habits(), IngestionId(uuid4()), IngestionId(uuid4())
    habits.of(mine).found(plain=False)
    assert habits.of(other).is_worth_a_try()
    assert not habits.of(mine).is_worth_a_try()
    habits.of(mine).found(plain=False)
    for _ in range(REMEMBERED_MAX):
        habits.of(IngestionId(uuid4()))
    assert habits.of(mine).is_worth_a_try()  # nothing is known of it any more
