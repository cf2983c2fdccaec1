"""What text files are compressed with: by name, by content, and what is at their start. Pure.

By name is how Spark sees it. What does not end in one of these is plain to it, whatever is inside.
"""

import bz2
import zlib
from collections.abc import Callable
from typing import Final

import pyarrow as pa
import zstandard

from libs.common.contracts.definition import Compression

SUFFIXES: Final[dict[Compression, str]] = {
    "none": "",
    "gzip": ".gz",
    "bzip2": ".bz2",
    "zstd": ".zst",
    "deflate": ".deflate",
    "snappy": ".snappy",
    "lz4": ".lz4",
}
"""The endings by which Spark knows them. ``snappy`` and ``lz4`` are Hadoop's own framings of these."""
SNAPPY_FRAMED: Final = b"\xff\x06\x00\x00sNaPpY"
"""How snappy's framing format begins, as everybody but Hadoop writes it. Spark cannot read it."""

_BY_SUFFIX: Final[dict[str, Compression]] = {suffix: name for name, suffix in SUFFIXES.items() if suffix} | {
    ".zstd": "zstd"
}
_MARKED: Final[dict[Compression, Callable[[bytes], bool]]] = {
    "gzip": lambda first: first.startswith(b"\x1f\x8b\x08"),
    "bzip2": lambda first: first.startswith(b"BZh") and first[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"),
    "zstd": lambda first: first.startswith(b"\x28\xb5\x2f\xfd"),
}
MARK_BYTES: Final = 10
"""So many bytes tell what a file is compressed with, if it has a mark."""


def named(key: str) -> Compression:
    """What the name of a file says."""
    return next((name for suffix, name in _BY_SUFFIX.items() if key.endswith(suffix)), "none")


def found(key: str, first: bytes) -> Compression:
    """What a file is compressed with, by its first bytes; where those have no mark that could tell, by its name."""
    by_content = next((name for name, is_marked in _MARKED.items() if is_marked(first)), None)
    if by_content is not None:
        return by_content
    by_name = named(key)
    return "none" if by_name in _MARKED and first else by_name


def unpacked(head: bytes, compression: Compression, size_max: int) -> bytes | None:
    """The start of what is inside, at most ``size_max`` bytes; it may be nothing yet. None: nothing here can look into
    that compression.

    Raises:
        ValueError: it is not compressed so.
    """
    try:
        match compression:
            case "none":
                return head[:size_max]
            case "gzip":
                return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, size_max)
            case "deflate":
                return zlib.decompressobj().decompress(head, size_max)
            case "bzip2":
                return bz2.BZ2Decompressor().decompress(head, size_max)
            case "zstd":
                return _unpacked_zstd(head, size_max)
            case "snappy":
                return _unpacked_snappy(head, size_max)
            case "lz4":
                return None
    except (OSError, zlib.error, zstandard.ZstdError, pa.ArrowException) as e:
        raise ValueError(str(e)) from e


def _unpacked_zstd(head: bytes, size_max: int) -> bytes:
    inside = b""
    one = zstandard.ZstdDecompressor().decompressobj()
    # In small pieces: a few bytes may hold gigabytes.
    for at in range(0, len(head), 1024):
        inside += one.decompress(head[at : at + 1024])
        if one.eof or len(inside) >= size_max:
            break
    return inside[:size_max]


def _unpacked_snappy(head: bytes, size_max: int) -> bytes:
    """Hadoop's framing: blocks, each begun by its unpacked length, of chunks, each begun by its packed length."""
    inside, at, block_end = b"", 0, 0
    while len(inside) < size_max and at + 8 <= len(head):
        if len(inside) >= block_end:
            block_end = len(inside) + int.from_bytes(head[at : at + 4])
            at += 4
        size = int.from_bytes(head[at : at + 4])
        chunk = head[at + 4 : at + 4 + size]
        if len(chunk) < size:
            break
        inside += pa.decompress(chunk, _varint(chunk), codec="snappy", asbytes=True)
        at += 4 + size
    return inside[:size_max]


def _varint(chunk: bytes) -> int:
    """What a chunk of snappy begins with: its unpacked length."""
    number = 0
    for shift, byte in enumerate(chunk[:5]):
        number |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            break
    return number
