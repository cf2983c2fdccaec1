"""What a listing shows: the files that a run would load, an even spread of them, and why others are left."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.definition import Source
from libs.common.ledger.model.files import FileVersion
from services.api.preview.listing import EXAMPLES_MAX, Listed, Spread

NOW = datetime(2025, 1, 7, tzinfo=UTC)


def file(key: str, size_bytes: int = 10) -> FileVersion:
    return FileVersion("landing", key, "e", size_bytes, NOW)


def listed(*keys: str, files_max: int = 5) -> Listed:
    found = Listed(Source(path="s3://landing/in/", file_pattern="*.json"), NOW, files_max)
    found.add([file(key) for key in keys])
    return found


def test_each_reason_is_counted_with_examples() -> None:
    """Pattern, hidden names, folders' markers."""
    found = listed("in/a.json", "in/b.csv", "in/_c.json", *(f"in/{n}.txt" for n in range(10)))
    found.add([file("in/sub/", 0)])
    assert (14, 1, 10, 1) == (found.objects, found.files, found.size_bytes, found.unreadable)
    counts = {reason: excluded.count for reason, excluded in found.excluded.items()}
    assert {
        "its name does not match source.file_pattern *.json": 11,
        "Spark takes names that start with '_' for hidden files": 1,
        "it is a folder's marker, and no file": 1,
    } == counts
    assert all(len(excluded.examples) <= EXAMPLES_MAX for excluded in found.excluded.values())


def test_empty_files_are_counted_and_not_read() -> None:
    """There is nothing to see in them."""
    found = listed("in/a.json")
    found.add([file("in/empty.json", 0)])
    assert (2, ["in/a.json"]) == (found.files, [f.key for f in found.to_read()])


@given(count=st.integers(0, 400), size=st.integers(1, 20))
def test_a_spread_is_even(count: int, size: int) -> None:
    """As many as asked for, if there are so many; the first is among them; no gap is much wider than another."""
    spread = Spread(size)
    for n in range(count):
        spread.add(file(str(n)))
    places = [int(f.key) for f in spread.files]
    assert min(count, size) == len(places)
    assert sorted(set(places)) == places
    assert places[:1] == [0][:count]
    gaps = [b - a for a, b in pairwise([*places, count])]
    assert max(gaps, default=0) <= 4 * max(1, count // size)


def test_files_of_the_wrong_age_are_left() -> None:
    """Which the definition may leave out."""
    source = Source(path="s3://landing/in/", modified_after=NOW)
    found = Listed(source, NOW, 5)
    found.add([file("in/a.json")])
    [reason] = found.excluded
    assert (0, True) == (found.files, "modified_after" in reason)
