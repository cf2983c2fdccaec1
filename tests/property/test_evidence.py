"""The evidence that a snapshot carries of its files: all of them, nothing else, and in little room."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ledger.model.files import FileVersion
from services.executor.domain.evidence import number_of, read, written

NOW = datetime(2025, 1, 7, tzinfo=UTC)
versions = st.builds(
    FileVersion,
    bucket=st.just("landing"),
    key=st.text(st.characters(codec="utf-8"), max_size=20),
    etag=st.text("0123456789abcdef", max_size=4),
    size_bytes=st.integers(0, 10**12),
    last_modified=st.just(NOW),
)


def file(number: int) -> FileVersion:
    return FileVersion("landing", f"data/{number}.json", f"etag-{number}", number, NOW)


@given(st.lists(versions, max_size=60))
def test_what_was_written_is_read(files: list[FileVersion]) -> None:
    """Whatever the keys are, in whatever order, also none and one twice."""
    assert tuple(sorted({number_of(f) for f in files})) == read(written(files))


@given(st.lists(versions, min_size=1, max_size=60))
def test_evidence_names_its_files(files: list[FileVersion]) -> None:
    assert all(number_of(f) in read(written(files)) for f in files)


@given(st.lists(versions, max_size=60), versions)
def test_evidence_names_no_other_file(files: list[FileVersion], other: FileVersion) -> None:
    """Not a key of another version either."""
    assert (other in files) == (number_of(other) in read(written(files)))


def test_evidence_of_the_largest_batch_is_bounded() -> None:
    """Ten thousand files, the most that a definition allows: nine characters each."""
    text = written([file(n) for n in range(10_000)])
    assert len(text) < 90_000
    assert 10_000 == len(read(text))


@pytest.mark.parametrize("text", ["", "x", "3:", "1:gA==", "2:" + written([file(1)])[2:], "1:****"])
def test_a_text_that_is_no_evidence_is_refused(text: str) -> None:
    """Cut, or written by somebody else: better nothing than a wrong file."""
    with pytest.raises(ValueError):  # noqa: PT011 - the caller asks for no more than that it is refused
        read(text)
