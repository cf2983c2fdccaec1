"""The book against a loader that reads whole files, once each, whenever it likes: it is never accused, and a row more
or less always is."""

from hypothesis import given
from hypothesis import strategies as st

from tests.soak.book import Book

STEPS = st.lists(
    st.tuples(st.sampled_from(["land", "delete", "load", "refresh"]), st.sampled_from("abc"), st.integers(1, 3)),
    max_size=30,
)


def played(steps: list[tuple[str, str, int]]) -> tuple[Book, int, dict[str, range]]:
    """The book, the moment when the table began, and what it holds by key."""
    book, began = Book(), 0
    table: dict[str, range] = {}
    deleted: set[str] = set()
    for what, key, rows in steps:
        match what:
            case "land" if key not in deleted:
                book.landed(key, book.ids(rows))
            case "delete" if key in book.there:
                book.deleted(key)
                deleted.add(key)
            case "load" if key in book.there:
                table.setdefault(key, book.files[key][-1].ids)
            case "refresh":
                began = book.moment()
                table.clear()
    for key in book.there:  # the last run
        table.setdefault(key, book.files[key][-1].ids)
    return book, began, table


@given(STEPS)
def test_a_loader_that_keeps_its_promise_is_never_accused(steps: list[tuple[str, str, int]]) -> None:
    book, began, table = played(steps)
    rows = {i for ids in table.values() for i in ids}
    assert rows == book.expected(began, rows)


@given(STEPS, st.data())
def test_a_row_that_is_lost_is_missed(steps: list[tuple[str, str, int]], data: st.DataObject) -> None:
    """Unless its file was deleted and held nothing else: then nobody can tell."""
    book, began, table = played(steps)
    rows = {i for ids in table.values() for i in ids}
    told = [i for key, ids in table.items() for i in ids if len(ids) > 1 or key in book.there]
    if told:
        seen = rows - {data.draw(st.sampled_from(told))}
        assert book.expected(began, seen) - seen


@given(STEPS, st.data())
def test_a_row_of_another_version_is_too_many(steps: list[tuple[str, str, int]], data: st.DataObject) -> None:
    book, began, table = played(steps)
    rows = {i for ids in table.values() for i in ids}
    if others := [i for key in table for version in book.files[key] for i in version.ids if i not in rows]:
        seen = rows | {data.draw(st.sampled_from(others))}
        wanted = book.expected(began, seen)
        assert seen - wanted or wanted - seen
