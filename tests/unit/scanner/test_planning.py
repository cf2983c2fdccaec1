"""Cutting files into batches, by example."""

from services.scanner.domain.planning import QUIET_S, BatchPlanner, Limits
from tests.unit.common.selection.listings import listed


def cut(planner: BatchPlanner, *names: str, size_bytes: int = 10) -> list[list[str]]:
    return [[f.key for f in b.files] for b in planner.add(listed(name, size_bytes=size_bytes) for name in names)]


def test_a_batch_is_full_at_its_number_of_files() -> None:
    """The rest waits for more, or for the end."""
    planner = BatchPlanner(Limits(files_max=2, bytes_max=1000))
    assert [["a", "b"], ["c", "d"]] == cut(planner, *"abcde")
    assert [["e", "f"]] == cut(planner, "f")
    assert () == planner.rest()


def test_a_batch_is_full_at_its_bytes() -> None:
    """A file that does not fit begins the next one."""
    planner = BatchPlanner(Limits(files_max=100, bytes_max=25))
    assert [["a", "b"]] == cut(planner, *"abc")
    assert [["c"]] == [[f.key for f in b.files] for b in planner.rest()]


def test_a_file_that_is_too_large_is_a_batch_of_its_own() -> None:
    """It is not refused, and takes nobody along."""
    planner = BatchPlanner(Limits(files_max=100, bytes_max=25))
    assert [["a"], ["big"]] == [*cut(planner, "a"), *cut(planner, "big", size_bytes=1000)]
    assert [] == cut(planner, "c")


def test_empty_files_count_as_files() -> None:
    """They weigh nothing."""
    planner = BatchPlanner(Limits(files_max=3, bytes_max=1))
    assert [["a", "b", "c"]] == cut(planner, *"abcd", size_bytes=0)


def test_a_key_that_is_listed_again_takes_its_earlier_place_in_the_open_batch() -> None:
    """The batch holds the version that is there, and its size."""
    planner = BatchPlanner(Limits(files_max=3, bytes_max=100))
    old, new = listed("a", etag="v1", size_bytes=90), listed("a", etag="v2", size_bytes=20)
    assert () == planner.add([old])
    assert () == planner.add([new, listed("b")])
    (batch,) = planner.rest()
    assert ((new, listed("b")), 30) == (batch.files, batch.size_bytes)


def test_nothing_makes_no_batch() -> None:
    """An empty listing."""
    assert () == BatchPlanner(Limits(1, 1)).rest()


def test_an_open_batch_does_not_wait_for_a_listing_that_shows_nothing_new() -> None:
    """Each time twice as long, from the last file on."""
    now = [0.0]
    planner = BatchPlanner(Limits(files_max=3, bytes_max=100), clock=lambda: now[0])

    def quiet(at: float) -> list[list[str]]:
        now[0] = at
        return [[f.key for f in b.files] for b in planner.quiet()]

    assert [] == quiet(100.0)
    assert [] == cut(planner, "a")
    now[0] = 100.0 + QUIET_S - 0.1
    assert [] == cut(planner, "b")
    assert [] == quiet(100.0 + 2 * QUIET_S - 0.2)
    assert [["a", "b"]] == quiet(100.0 + 2 * QUIET_S)
    now[0] = 200.0
    assert [] == cut(planner, "c")
    assert [] == quiet(200.0 + 2 * QUIET_S - 0.1)
    assert [["c"]] == quiet(200.0 + 2 * QUIET_S)
    assert () == planner.rest()


def test_a_listing_that_stands_still_is_not_quiet() -> None:
    """While executors are behind, a batch may as well fill up."""
    now = [0.0]
    planner = BatchPlanner(Limits(files_max=3, bytes_max=100), clock=lambda: now[0])
    assert [] == cut(planner, "a")
    now[0] = 100.0
    planner.resume(Limits(files_max=3, bytes_max=100))
    assert () == planner.quiet()
    now[0] += QUIET_S
    assert [["a"]] == [[f.key for f in b.files] for b in planner.quiet()]


def test_a_listing_that_goes_on_may_have_other_limits() -> None:
    """They count from the next file on."""
    planner = BatchPlanner(Limits(files_max=3, bytes_max=100))
    assert [] == cut(planner, "a", "b")
    planner.resume(Limits(files_max=2, bytes_max=100))
    assert [["a", "b", "c"], ["d", "e"]] == cut(planner, *"cde")
