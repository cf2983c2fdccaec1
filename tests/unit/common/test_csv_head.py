"""What the first bytes of a CSV file say of its columns."""

from typing import Any

import pytest

from libs.common.contracts.definition import FormatOptions
from libs.common.csv_head import CsvHead, NoHeader, csv_head


def head(body: bytes, *, is_all: bool = True, **options: Any) -> CsvHead | None:
    return csv_head(body, FormatOptions(**options), is_all=is_all)


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (b"id,name\n1,a\n", {}, CsvHead(("id", "name"), 1)),
        (b"id,name\r\n1,a\r\n", {}, CsvHead(("id", "name"), 1)),
        (b"id,name\r1,a", {}, CsvHead(("id", "name"), 1)),
        (b"id,name", {}, CsvHead(("id", "name"), 1, is_all=True)),
        (b"id,name\n\n  \n", {}, CsvHead(("id", "name"), 1, is_all=True)),
        (b"\n \t\nid\n1\n", {}, CsvHead(("id",), 3)),
        (b"", {}, CsvHead(is_all=True)),
        (b"\n\n", {}, CsvHead(is_all=True)),
        (b'\xef\xbb\xbf"id","a ""b"", c"\n1,2\n', {}, CsvHead(("id", 'a "b", c'), 1)),
        (b",id,\nx,1,\n", {}, CsvHead(("_c0", "id", "_c2"), 1)),
        (b"id; name\n1;a\n", {"delimiter": ";"}, CsvHead(("id", " name"), 1)),
        (b"'a;b';c\n1;2\n", {"delimiter": ";", "quote": "'"}, CsvHead(("a;b", "c"), 1)),
        (b'"a\\"b",c\n1,2\n', {"escape": "\\"}, CsvHead(('a"b', "c"), 1)),
        (b'"a,b\n1,2\n', {"quote": ""}, CsvHead(('"a', "b"), 1)),
        (b'"a\nb",c\n1,2\n', {"multiline": True}, CsvHead(("a\nb", "c"), 2)),
        (b"1,a,\n2,b,\n", {"header": False}, CsvHead(("_c0", "_c1", "_c2"))),
        (b"id\n\xff\xfe\0\n", {}, CsvHead(("id",), 1)),
        ("id,n\u00e4me\n1,a\n".encode("latin-1"), {"encoding": "latin-1"}, CsvHead(("id", "n\u00e4me"), 1)),
        ("\u20ac,id\n1,a\n".encode("cp1252"), {"encoding": "windows-1252"}, CsvHead(("\u20ac", "id"), 1)),
        ("id,n\u00e4me\n1,a\n".encode("utf-16"), {"encoding": "utf-16"}, CsvHead(("id", "n\u00e4me"), 1)),
    ],
)
def test_the_header_is_the_first_record(body: bytes, options: dict[str, Any], expected: CsvHead) -> None:
    """Whatever it is written with."""
    assert expected == head(body, **options)


@pytest.mark.parametrize("body", [b"", b"\n", b"id,na", b"id,name", b"id,name\n", b"id,name\r"])
def test_a_part_of_a_file_may_be_too_short_to_tell(body: bytes) -> None:
    """A header that ends where the bytes end may go on, or its line end may have a second half."""
    assert head(body, is_all=False) is None
    assert head(body + b"me\n1", is_all=False) is not None or not body.strip()


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        (b"a,b,a\n", {}, "names 'a' twice"),
        (b",_c0\n", {}, "names '_c0' twice"),
        (b"na\xefve\n", {}, "no utf-8"),
        ("id\n".encode("utf-16"), {}, "no utf-8"),
        (b"\x81\n", {"encoding": "windows-1252"}, "no windows-1252"),
        (b'"a\nb"\n', {}, "format.options.multiline"),
    ],
)
def test_a_header_that_names_no_columns_is_refused_with_a_reason(
    body: bytes, options: dict[str, Any], words: str
) -> None:
    """As the end of a sentence about the file."""
    with pytest.raises(NoHeader, match=words):
        head(body, **options)
