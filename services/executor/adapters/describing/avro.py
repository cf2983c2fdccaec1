"""The header of an Avro file: its schema, and what its blocks are compressed with.

How many rows it has is said block by block, and so is not known before it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from libs.common.ledger.model.files import FileVersion
from services.executor.adapters.describing.avro_types import NoSchema, schema_of
from services.executor.adapters.describing.description import HEADER_BYTES_MAX, Description, NotAsDescribed, Parts

_MAGIC: Final = b"Obj\x01"
_SYNC_BYTES: Final = 16
_VARINT_BYTES_MAX: Final = 10
_FIRST_LOOK_BYTES: Final = 4 * 1024
"""Enough for most headers."""
_EACH_LOOK: Final = 16
"""How many times as large as the one before."""
_CODECS: Final = frozenset({"null", "deflate", "snappy", "bzip2", "xz", "zstandard"})


@dataclass(frozen=True, slots=True)
class Header:
    """``sync`` stands behind the header and behind every block."""

    metadata: Mapping[bytes, bytes]
    sync: bytes
    size_bytes: int


class NoHeader(ValueError):
    """These bytes begin no Avro file."""


async def describe(parts: Parts, file: FileVersion) -> Description:
    """See ``description.Describe``. Looks at the end, too: Spark takes what breaks off behind a block for whole."""
    size = _FIRST_LOOK_BYTES
    while True:
        first = await parts.first(file, size)
        if not first.startswith(_MAGIC):
            raise await parts.misnamed(file, "Avro")
        try:
            header = header_of(first)
        except NoHeader as e:
            raise NotAsDescribed(f"its header cannot be read: {e}") from e
        if header is not None:
            found = _described(header, first, file.size_bytes)
            if await parts.last(file, _SYNC_BYTES) != header.sync:
                raise NotAsDescribed("it breaks off: it does not end with the mark that stands behind its blocks")
            return found
        if len(first) >= file.size_bytes:
            raise NotAsDescribed("it breaks off in its header")
        if size >= HEADER_BYTES_MAX:
            raise NotAsDescribed(f"its header does not end within {HEADER_BYTES_MAX:,} bytes")
        size = min(size * _EACH_LOOK, HEADER_BYTES_MAX)


def header_of(first: bytes) -> Header | None:
    """The header that a file's first bytes hold; None: it goes on behind them.

    Raises:
        NoHeader: they hold something else.
    """
    at, metadata = _At(first), dict[bytes, bytes]()
    try:
        if at.bytes(len(_MAGIC)) != _MAGIC:
            raise NoHeader("it does not begin with Avro's mark")
        while (entries := at.long()) != 0:
            if entries < 0:
                at.long()  # the entries' size, for who would pass over them
            for _ in range(abs(entries)):
                key = at.bytes(at.long())
                metadata[key] = at.bytes(at.long())
        sync = at.bytes(_SYNC_BYTES)
    except _GoesOn:
        return None
    return Header(metadata, sync, at.position)


def _described(header: Header, first: bytes, file_bytes: int) -> Description:
    codec = header.metadata.get(b"avro.codec", b"null").decode(errors="replace")
    if codec not in _CODECS:
        raise NotAsDescribed(f"it is compressed with {codec!r}, for which Spark has no codec")
    try:
        schema = schema_of(header.metadata.get(b"avro.schema", b""))
    except NoSchema as e:
        raise NotAsDescribed(str(e)) from e
    # Some writers close a file with a block of no rows.
    end, empty_block = header.size_bytes, b"\0\0" + header.sync
    while first.startswith(empty_block, end):
        end += len(empty_block)
    return Description(schema, rows=0 if end == file_bytes else None)


class _GoesOn(Exception):
    """What is asked for lies behind the bytes that are there."""


class _At:
    """A place in some bytes, which moves on with what is read. Avro writes lengths as zigzag numbers."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.position = 0

    def bytes(self, size: int) -> bytes:
        if size < 0:
            raise NoHeader("a length is negative")
        end = self.position + size
        if end > len(self._body):
            raise _GoesOn
        found, self.position = self._body[self.position : end], end
        return found

    def long(self) -> int:
        folded = 0
        for i in range(_VARINT_BYTES_MAX):
            [byte] = self.bytes(1)
            folded |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return (folded >> 1) ^ -(folded & 1)
        raise NoHeader("a number does not end")
