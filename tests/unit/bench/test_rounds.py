"""All variants take turns; one that gives up is not tried again."""

from collections.abc import Callable

from bench.measures import Took
from bench.peers.peer import GivenUp
from bench.rounds import Runner, compare
from bench.workloads import Workload

WORK = Workload("w", "some files", 300, 2, "bucket")


class Recorded:
    """What was loaded by whom, in this order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def runner(self, name: str, *, fails_at: int | None = None) -> Callable[[Workload], Took]:
        def once(work: Workload) -> Took:
            self.calls.append((name, work.files))
            if fails_at == sum(called == name for called, _ in self.calls):
                raise GivenUp("not done after 120 s")
            return Took(seconds=float(len(self.calls)), rows=work.rows)

        return once


def test_the_first_round_does_not_count() -> None:
    recorded = Recorded()

    found = compare(WORK, {"a": Runner("A", recorded.runner("a"))}, 2, lambda _: None)

    assert [("a", 300)] * 3 == recorded.calls
    assert {1: 2.0, 2: 3.0} == found["a"].seconds


def test_what_begins_in_a_new_process_has_no_first_round() -> None:
    recorded = Recorded()

    found = compare(WORK, {"a": Runner("A", recorded.runner("a"), is_warmed_up=False)}, 2, lambda _: None)

    assert {1: 1.0, 2: 2.0} == found["a"].seconds


def test_who_gives_up_is_not_tried_again_and_keeps_what_was_measured() -> None:
    recorded = Recorded()
    runners = {"a": Runner("A", recorded.runner("a", fails_at=3)), "b": Runner("B", recorded.runner("b"))}

    found = compare(WORK, runners, 4, lambda _: None)

    assert 3 == sum(name == "a" for name, _ in recorded.calls)
    assert {1} == found["a"].rounds.keys()
    assert found["a"].not_done is not None
    assert "not done after 120 s" == found["a"].not_done.reason
    assert {1, 2, 3, 4} == found["b"].rounds.keys()


def test_a_slow_way_is_tried_on_some_of_the_files_and_scaled_up() -> None:
    recorded = Recorded()

    found = compare(WORK, {"a": Runner("A", recorded.runner("a"), files_max=100)}, 1, lambda _: None)

    assert ("a", 100) in recorded.calls
    assert 100 == found["a"].files_of
    assert {1: 6.0} == found["a"].seconds


def test_few_files_are_not_scaled() -> None:
    recorded = Recorded()
    few = WORK.first(50)

    assert (
        compare(few, {"a": Runner("A", recorded.runner("a"), files_max=100)}, 1, lambda _: None)["a"].files_of is None
    )


def test_where_all_is_warm_already_every_round_counts() -> None:
    recorded = Recorded()

    found = compare(WORK, {"a": Runner("A", recorded.runner("a"))}, 2, lambda _: None, warm_up=False)

    assert {1: 1.0, 2: 2.0} == found["a"].seconds
