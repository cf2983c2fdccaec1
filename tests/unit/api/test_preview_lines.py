"""The first lines of a file, from its first bytes."""

import gzip

import pytest

from services.api.preview.lines import Head, head_of


def head(body: bytes, *, key: str = "a.json", is_all: bool = True, lines_max: int = 10, size_max: int = 1000) -> Head:
    return head_of(key, body, is_all=is_all, lines_max=lines_max, size_bytes_max=size_max)


@pytest.mark.parametrize("body", [b"1\n2\n", b"1\n2", b"1\r\n2\r\n", b"1\r2", b"\xef\xbb\xbf1\n2"])
def test_lines_end_in_any_of_three_ways(body: bytes) -> None:
    """And the last one need not; a byte order mark is no part of the first."""
    assert Head((b"1", b"2")) == head(body)


def test_a_line_that_was_cut_is_left_out() -> None:
    """It would look like a bad one."""
    assert Head((b"1",), is_all=False) == head(b"1\n2", is_all=False)


def test_more_lines_than_asked_for_are_left() -> None:
    """And the head says that there are more."""
    assert Head((b"1", b"2"), is_all=False) == head(b"1\n2\n3\n", lines_max=2)
    assert Head((b"1", b"2")) == head(b"1\n2\n", lines_max=2)


def test_a_first_line_that_does_not_end_is_told() -> None:
    """There is nothing to go by."""
    assert "first line is longer than the 3 bytes" in str(head(b"123", is_all=False).problem)


def test_gzip_is_read_as_far_as_it_came() -> None:
    """All members of it, and the part of one that is there."""
    whole = gzip.compress(b"1\n2\n") + gzip.compress(b"3\n")
    assert Head((b"1", b"2", b"3")) == head(whole, key="a.json.gz")
    many = gzip.compress(b"".join(b"%d\n" % (n * 7919) for n in range(500)))
    part = head(many[: len(many) // 2], key="a.gz", is_all=False, lines_max=1000, size_max=100_000)
    assert (b"0", b"7919", False, None) == (*part.lines[:2], part.is_all, part.problem)


def test_a_few_bytes_cannot_fill_the_memory() -> None:
    """What comes out of a compressed file is bounded."""
    bomb = head(gzip.compress(b"1\n" * 1_000_000), key="a.gz", lines_max=10_000_000, size_max=1000)
    assert (500, False) == (len(bomb.lines), bomb.is_all)


def test_trouble_with_a_compressed_file_is_told() -> None:
    """With the lines that came before it."""
    assert "no whole gzip" in str(head(b"1\n", key="a.gz").problem)
    cut = gzip.compress(b"1\n2\n")[:-4]
    assert ((b"1", b"2"), True) == ((cut_head := head(cut, key="a.gz")).lines, "cut short" in str(cut_head.problem))
    assert "cannot look into bz2" in str(head(b"x", key="a.json.bz2").problem)
