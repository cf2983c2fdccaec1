"""What a file's first bytes look like."""

import gzip

import pytest

from services.executor.domain.content import looks_like


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"", "has no bytes"),
        (b"PAR1\x15\x04", "looks like Parquet"),
        (b"Obj\x01\x04", "looks like Avro"),
        (gzip.compress(b"a", mtime=0), "looks like gzip"),
        (b'{"id": 1}\n', "looks like JSON"),
        (b"\xef\xbb\xbf [1]", "looks like JSON"),
        (b"id,name\n1,a\n", "looks like text"),
        ("caf\u00e9".encode()[:-1], "looks like text"),
        (b"\x00\x01\x02\xff", "holds bytes of no format that is known here"),
        (b"\xff\xfe\x41\x00", "holds bytes of no format that is known here"),
    ],
)
def test_bytes_tell_what_they_are(first: bytes, words: str) -> None:
    """By their mark, or as text, which may be cut in the middle of a character."""
    assert words == looks_like(first)
