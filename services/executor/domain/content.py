"""What a file's first bytes look like, whatever its name says."""

from typing import Final

_MARKS: Final = (
    (b"PAR1", "looks like Parquet"),
    (b"PARE", "looks like encrypted Parquet"),
    (b"Obj\x01", "looks like Avro"),
    (b"ORC", "looks like ORC"),
    (b"\x1f\x8b", "looks like gzip"),
    (b"\x28\xb5\x2f\xfd", "looks like zstd"),
    (b"BZh", "looks like bzip2"),
    (b"\xff\x06\x00\x00sNaPpY", "looks like snappy (framed)"),
    (b"\x04\x22\x4d\x18", "looks like lz4"),
    (b"\xfd7zXZ\x00", "looks like xz"),
    (b"PK\x03\x04", "looks like a zip archive"),
    (b"%PDF", "looks like a PDF"),
)


def mark_of(first: bytes) -> str | None:
    """What these bytes, the first of a file, are the mark of, as in "looks like Parquet"; None if of nothing known."""
    return next((words for mark, words in _MARKS if first.startswith(mark)), None)


def looks_like(first: bytes) -> str:
    """What can be said of a file by its first bytes, to follow "it"."""
    if not first:
        return "has no bytes"
    if (words := mark_of(first)) is not None:
        return words
    text = _as_text(first)
    if text is None:
        return "holds bytes of no format that is known here"
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        return "looks like JSON"
    return "looks like text"


def _as_text(first: bytes) -> str | None:
    """The bytes as text, a character that is cut off at their end left out; None if they are none."""
    for cut in range(4):
        try:
            text = first[: len(first) - cut].decode()
        except UnicodeDecodeError:
            continue
        return text if "\x00" not in text else None
    return None
