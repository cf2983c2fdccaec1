"""CSV's header, and what the file is compressed with: its first bytes."""

from collections.abc import Awaitable, Callable
from typing import Final

from libs.common.compression import found, named, unpacked
from libs.common.contracts.definition import Compression, FormatOptions
from libs.common.csv_head import CsvHead, NoHeader, csv_head
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct
from services.executor.adapters.describing.by_content import refuse_framed_snappy
from services.executor.adapters.describing.description import Description, NotAsDescribed, Parts

_LOOKS: Final = (2 * 1024, 64 * 1024, 4 * 1024**2)
"""Bytes. Most headers are in the first; a block of bzip2 may need the last."""
_INSIDE_MAX: Final = 4 * 1024**2


def describe(options: FormatOptions) -> Callable[[Parts, FileVersion], Awaitable[Description]]:
    """See ``description.Describe``."""

    async def look(parts: Parts, file: FileVersion) -> Description:
        for size in _LOOKS:
            body = await parts.first(file, size)
            compression = options.compression_of_all or found(file.key, body)
            refuse_framed_snappy(body)
            is_all = len(body) >= file.size_bytes
            head = _head(body, compression, options, is_all=is_all)
            if head is not None:
                return Description(
                    schema=Struct(tuple(Field(name, "string") for name in head.columns)),
                    rows=0 if head.is_all else None,
                    compression=None if compression == named(file.key) else compression,
                    header_lines=head.lines,
                )
        raise NotAsDescribed(f"its first record does not end within {_LOOKS[-1]:,} bytes")

    return look


def _head(body: bytes, compression: Compression, options: FormatOptions, *, is_all: bool) -> CsvHead | None:
    try:
        inside = unpacked(body, compression, _INSIDE_MAX)
    except ValueError as e:
        raise NotAsDescribed(f"it is no {compression} file: {e}") from e
    if inside is None:
        raise NotAsDescribed(
            f"the columns of a CSV file cannot be told from its {compression} data; write it as gzip or zstd"
        )
    try:
        return csv_head(inside, options, is_all=is_all and len(inside) < _INSIDE_MAX)
    except NoHeader as e:
        raise NotAsDescribed(str(e)) from e
