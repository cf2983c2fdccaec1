"""Which encodings text may have."""

import pytest

from libs.common.encodings import is_wide, problem_with


@pytest.mark.parametrize(
    "name",
    ["utf-8", "UTF8", "utf-16", "UTF-16LE", "utf-32", "latin-1", "iso-8859-15", "windows-1252", "cp1251", "koi8-r"],
)
def test_utfs_and_single_bytes_are_read(name: str) -> None:
    """In any spelling that Python knows."""
    assert problem_with(name) is None


@pytest.mark.parametrize(
    "name", ["", "klingon", "base64", "rot13", "shift_jis", "gb18030", "big5", "cp037", "utf-7", "ascii"]
)
def test_others_are_refused(name: str) -> None:
    """With what is wrong with them."""
    assert problem_with(name) is not None


def test_wide_ones_are_known() -> None:
    """The byte 10 may be half of a character."""
    assert [True, True, False, False] == [is_wide(name) for name in ("utf-16", "UTF-32-BE", None, "latin-1")]
