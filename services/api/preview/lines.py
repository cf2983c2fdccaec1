"""From the first bytes of a file to its first lines, cut as Spark cuts them. Pure.

A line ends with LF, CR or CRLF, and a byte order mark at the start of a file is no part of it. What a name ends with
decides whether a file is compressed, not what is inside.
"""

import codecs
import zlib
from dataclasses import dataclass

_GZIP = 16 + zlib.MAX_WBITS
_MEMBERS_MAX = 1000
"""Each costs a copy of the rest; an empty one has 20 bytes."""
_OTHER_CODECS = (".bz2", ".deflate", ".lz4", ".snappy", ".zst")


@dataclass(frozen=True, slots=True)
class Head:
    """The first whole lines of a file. ``is_all``: the file has no more. ``problem``: why there are none, or not more:
    words for a user."""

    lines: tuple[bytes, ...] = ()
    is_all: bool = True
    problem: str | None = None


def is_compressed(key: str) -> bool:
    """Whether a key names a gzip file, for Spark as for us."""
    return key.endswith(".gz")


def head_of(key: str, body: bytes, *, is_all: bool, lines_max: int, size_bytes_max: int) -> Head:
    """The lines at the start of ``body``, the first bytes of an object; ``is_all``: there are no more bytes.

    Of a compressed file ``size_bytes_max`` bounds what comes out of it: a few bytes can hold gigabytes.
    """
    if key.endswith(_OTHER_CODECS):
        return Head(is_all=False, problem=f"a preview cannot look into {key.rsplit('.', 1)[-1]} files")
    problem = None
    if is_compressed(key):
        body, is_all, problem = _unzipped(body, is_all, size_bytes_max)
    *lines, rest = body.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if is_all and rest:
        lines.append(rest)
    if not lines and rest and problem is None:
        problem = f"its first line is longer than the {len(body):,} bytes that were read of it"
    return Head(tuple(lines[:lines_max]), is_all and len(lines) <= lines_max, problem)


def _unzipped(body: bytes, is_all: bool, size_bytes_max: int) -> tuple[bytes, bool, str | None]:
    """What is inside; whether that is all; what is wrong with it. A gzip file may have several members."""
    out = b""
    for _ in range(_MEMBERS_MAX):
        if not body:
            return out, is_all, None
        member = zlib.decompressobj(_GZIP)
        try:
            out += member.decompress(body, size_bytes_max - len(out) + 1)
        except zlib.error as e:
            return out, False, f"it is no whole gzip file ({e})"
        if len(out) > size_bytes_max:
            return out[:size_bytes_max], False, None
        if not member.eof:
            return out, False, "it is cut short: the end of its gzip data is missing" if is_all else None
        body = member.unused_data
    return out, False, None
