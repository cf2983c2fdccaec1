"""When rows may be replaced, what a good copy looks like, and what is said otherwise."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from libs.common.contracts.events import Problem
from libs.common.errors import Permanent
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion, Loaded
from libs.common.ledger.states import FileState
from libs.common.schema import Field, Struct
from services.executor.domain.provenance import with_provenance
from services.executor.domain.replacing import FileRows, check_column, check_rows, kept, replaces_exactly

A, B = (FileVersion("landing", f"{key}.json", "v2", 10, datetime(2025, 1, 7, tzinfo=UTC)) for key in "ab")
BEFORE = FileRows(1, {A.uri: 5, B.uri: 3}, nameless=0, total=20)


def was(file: FileVersion, rows: int | None) -> dict[bytes, Loaded]:
    return {file.digest: Loaded((replace(file, etag="v1"),), rows)}


def refusal(known: int | None, found: int, nameless: int) -> str | None:
    try:
        check_rows("t", [A], was(A, known), FileRows(1, {A.uri: found} if found else {}, nameless, 100))
    except Permanent as told:
        return told.code
    return None


@pytest.mark.parametrize(
    ("known", "found", "nameless", "code"),
    [
        (5, 5, 0, None),
        (5, 5, 9, None),  # others are without a name, none of ours is missing
        (5, 3, 0, None),  # somebody deleted two of them
        (5, 0, 0, None),
        (0, 0, 9, None),  # a baseline, or a file without rows
        (None, 4, 0, None),  # nobody counted them, and all rows have names
        (5, 0, 5, "file_column_incomplete"),
        (5, 4, 1, "file_column_incomplete"),
        (None, 4, 1, "file_column_incomplete"),
        (5, 6, 0, "rows_of_others"),
        (0, 1, 0, "rows_of_others"),
    ],
)
def test_rows_are_replaced_only_where_all_of_them_are_known(
    known: int | None, found: int, nameless: int, code: str | None
) -> None:
    """Known to the ledger, found in the table, and rows that name no file."""
    assert code == refusal(known, found, nameless)


def test_a_table_without_the_column_is_told_what_it_needs() -> None:
    """Also one that has a column of that name which is not ours."""
    named = with_provenance(Struct(), ("_file_path",))
    check_column("t", named)
    for schema in (Struct((Field("id", "bigint"),)), Struct((Field("_file_path", "string"),))):
        with pytest.raises(Permanent) as told:
            check_column("t", schema)
        assert "file_column_missing" == told.value.code
        assert "metadata_columns" in told.value.hint


@pytest.mark.parametrize(
    ("after", "is_good"),
    [
        (FileRows(2, {A.uri: 7, B.uri: 1}, 0, 20), True),
        (FileRows(2, {A.uri: 7, B.uri: 1}, 0, 19), False),  # another file lost a row
        (FileRows(2, {A.uri: 7, B.uri: 1}, 1, 20), False),  # and one lost its name
        (FileRows(2, {A.uri: 12, B.uri: 4}, 0, 28), False),  # the old ones are still there
        (FileRows(2, {A.uri: 7}, 0, 19), False),
    ],
)
def test_a_copy_has_the_new_rows_instead_of_the_old_ones_and_nothing_else(after: FileRows, is_good: bool) -> None:
    """Counted in the copy itself, not in what its writer said."""
    assert is_good == replaces_exactly([A, B], {A.digest: 7, B.digest: 1}, BEFORE, after)


def test_what_could_not_be_reloaded_is_still_there_and_says_so() -> None:
    """The next run will not take it: it is loaded. A fate without a problem, and the batch's own, stay as they are."""
    bad = Problem(error_type="unparsable_file", message="x", hint="the next run loads it")
    verdict = BurnVerdict({A.digest: Fate(FileState.FAILED, bad), B.digest: Fate(FileState.DISCOVERED)}, bad)
    told = kept(verdict)
    problem = told.fates[A.digest].problem
    assert problem is not None
    assert "still in the table" in (problem.hint or "")
    assert (Fate(FileState.DISCOVERED), bad) == (told.fates[B.digest], told.problem)
