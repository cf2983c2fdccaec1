"""The audit: only what closes becomes visible."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from services.executor.domain.audit import Clean, FileRead, Miscounted, Refusal, Spoiled, Staged, audit, changed
from services.executor.domain.tolerance import Tolerance

AT = datetime(2025, 1, 7, tzinfo=UTC)
ONE = FileVersion("b", "one.json", "e1", 10, AT)
TWO = FileVersion("b", "two.json", "e2", 20, AT)
EMPTY = FileVersion("b", "empty.json", "e3", 0, AT)
NOW = {f.key: f.version_tag for f in (ONE, TWO, EMPTY)}
STAGED = Staged(7, 5, {ONE.digest: FileRead(lines=3, rows=3), TWO.digest: FileRead(lines=3, rows=2)})


def test_counts_that_close_are_clean() -> None:
    """Every file read, blank lines aside, and the snapshot holds their rows; an empty file counts as no rows."""
    assert Clean({ONE.digest: 3, TWO.digest: 2, EMPTY.digest: 0}) == audit((ONE, TWO, EMPTY), STAGED, NOW)


@pytest.mark.parametrize("staged", [replace(STAGED, added_records=6), replace(STAGED, stray_lines=1)])
def test_counts_that_do_not_close_are_staged_again(staged: Staged) -> None:
    """A recomputed stage counts twice; a line of no known file would vanish from the books."""
    assert Miscounted(5, staged.added_records) == audit((ONE, TWO), staged, NOW)


@pytest.mark.parametrize(
    ("now", "state", "word"),
    [
        ({**NOW, "two.json": None}, FileState.MISSING, "file_missing"),
        ({**NOW, "two.json": "other:20"}, FileState.SUPERSEDED, "file_overwritten"),
        ({"one.json": ONE.version_tag}, FileState.MISSING, "file_missing"),
    ],
)
def test_a_file_that_is_not_what_was_listed_spoils_the_batch(
    now: dict[str, str | None], state: FileState, word: str
) -> None:
    """Only that file has a fate; the other goes on."""
    verdict = audit((ONE, TWO), STAGED, now)
    assert isinstance(verdict, Spoiled)
    [(digest, fate)] = verdict.fates.items()
    assert fate.problem is not None
    assert (TWO.digest, state, word, TWO.uri) == (digest, fate.state, fate.problem.error_type, fate.problem.file)


def test_a_file_whose_format_shows_that_it_holds_no_record_is_clean() -> None:
    """It has bytes: a header, or a footer."""
    staged = replace(STAGED, reads={ONE.digest: FileRead(5, 5)})
    assert isinstance(audit((ONE, TWO), staged, NOW), Spoiled)
    assert Clean({ONE.digest: 5, TWO.digest: 0}) == audit(
        (ONE, TWO), replace(staged, empty=frozenset({TWO.digest})), NOW
    )


@pytest.mark.parametrize(
    ("read", "word"),
    [
        (FileRead(lines=3, rows=2, bad=1), "unparsable_file"),
        (FileRead(lines=0), "unread_file"),
    ],
)
def test_a_file_that_was_not_read_whole_fails(read: FileRead, word: str) -> None:
    """A bad line that may not be set aside, or bytes without a line: the file is named, with what to do."""
    staged = replace(STAGED, reads={**STAGED.reads, TWO.digest: read})
    verdict = audit((ONE, TWO), staged, NOW, tolerance=Tolerance("skip_file"))
    assert isinstance(verdict, Spoiled)
    [fate] = verdict.fates.values()
    assert fate.problem is not None
    assert (FileState.FAILED, word, True) == (fate.state, fate.problem.error_type, bool(fate.problem.hint))


def test_bad_records_may_be_set_aside() -> None:
    """Then the counts close without them."""
    staged = replace(STAGED, reads={**STAGED.reads, TWO.digest: FileRead(lines=4, rows=2, bad=2)})
    assert Clean({ONE.digest: 3, TWO.digest: 2}) == audit((ONE, TWO), staged, NOW)


def test_a_field_that_can_never_be_a_column_fails_its_file() -> None:
    """The clash is told in the words of the comparison."""
    refusal = Refusal("field_name_clash", "field 'ID' is …", "write it as the table has it")
    verdict = audit((ONE, TWO), STAGED, NOW, {ONE.digest: refusal})
    assert isinstance(verdict, Spoiled)
    [fate] = verdict.fates.values()
    assert fate.problem is not None
    assert "field 'ID'" in fate.problem.message
    assert (refusal.error_type, refusal.hint) == (fate.problem.error_type, fate.problem.hint)


def test_a_change_is_told_before_what_was_read() -> None:
    """What was read of an overwritten file says nothing about either version."""
    spoiled = replace(STAGED, reads={**STAGED.reads, TWO.digest: FileRead(lines=3, rows=2, bad=1)})
    verdict = audit((ONE, TWO), spoiled, {**NOW, "two.json": "other:20"})
    assert verdict == Spoiled(changed((ONE, TWO), {**NOW, "two.json": "other:20"}))
