"""The soak's book: which rows a table must hold, when nobody knows which version of a file was read."""

from tests.soak.book import Book


def a_book() -> tuple[Book, range, range]:
    """A file with two versions: the older one, the newer one."""
    book = Book()
    old, new = book.ids(3), book.ids(3)
    book.landed("a", old)
    book.landed("a", new)
    return book, old, new


def test_every_file_is_expected_before_anything_was_loaded() -> None:
    book, _, new = a_book()
    book.landed("b", more := book.ids(2))
    assert {*new, *more} == book.expected(0, set())


def test_the_version_that_was_loaded_is_the_one_to_expect() -> None:
    book, old, _ = a_book()
    assert {*old} == book.expected(0, {*old})


def test_a_row_of_a_second_version_is_not_expected() -> None:
    """So the oracle finds a row that no file holds."""
    book, old, new = a_book()
    assert {*new} == book.expected(0, {old[0], *new})


def test_half_of_a_version_is_expected_whole() -> None:
    """So the oracle finds the other half lost."""
    book, old, _ = a_book()
    assert {*old} == book.expected(0, {old[0]})


def test_a_version_that_was_gone_before_the_table_began_anew_cannot_be_in_it() -> None:
    book, old, new = a_book()
    assert {*new} == book.expected(book.moment(), {*old})


def test_a_version_that_was_overwritten_after_a_refresh_was_asked_for_may_be_in_it() -> None:
    book = Book()
    book.landed("a", old := book.ids(3))
    began = book.moment()
    book.landed("a", book.ids(3))
    assert {*old} == book.expected(began, {*old})


def test_a_deleted_file_is_there_whole_or_not_at_all() -> None:
    book = Book()
    book.landed("a", ids := book.ids(3))
    book.deleted("a")
    assert set() == book.expected(0, set())
    assert {*ids} == book.expected(0, {ids[1]})
    assert set() == book.expected(book.moment(), {*ids})


def test_keys_that_can_be_read() -> None:
    book, _, _ = a_book()
    book.landed("b", book.ids(1))
    book.deleted("b")
    assert ["a"] == book.there


def test_foreign_rows_are_in_one_life_of_the_table() -> None:
    book = Book()
    here, elsewhere, told_of_an_error, never = (book.foreign_id() for _ in range(4))
    book.foreign |= {here, elsewhere}
    book.doubtful |= {told_of_an_error, never}
    assert {here, told_of_an_error} == book.expected_foreign({here, told_of_an_error}, {elsewhere})
    assert {here} == book.expected_foreign(set(), {elsewhere})


def test_rows_that_never_were_are_not_known() -> None:
    book, old, new = a_book()
    book.doubtful.add(foreign := book.foreign_id())
    assert {*old, *new, foreign} == book.known({*old, *new, foreign, 4_711, foreign + 1})
