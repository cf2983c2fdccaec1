"""Parquet's footer: the file's schema, how many rows it has, and what they are compressed with."""

import io
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct
from services.executor.adapters.describing.arrow_types import scalar, struct
from services.executor.adapters.describing.description import HEADER_BYTES_MAX, Description, NotAsDescribed, Parts

_MAGIC: Final = b"PAR1"
_TAIL: Final = 8
"""The footer's length, in four bytes, and the magic."""
# Taken at the first look: enough for most footers, and little of the file.
_GUESS_SHARE, _GUESS_MAX = 256, 64 * 1024
_NO_CODEC: Final = frozenset({"BROTLI", "LZO"})
# What Arrow may take for bytes.
_BY_LOGICAL_TYPE: Final = {"ENUM": "string", "JSON": "string", "BSON": "binary", "UUID": "uuid"}


async def describe(parts: Parts, file: FileVersion) -> Description:
    """See ``description.Describe``."""
    tail = await parts.last(file, max(_TAIL, min(file.size_bytes // _GUESS_SHARE, _GUESS_MAX)))
    if tail[-4:] != _MAGIC:
        raise await parts.misnamed(file, "Parquet")
    size = int.from_bytes(tail[-_TAIL:-4], "little") + _TAIL
    if size > min(file.size_bytes, HEADER_BYTES_MAX):
        raise NotAsDescribed(f"its footer would have {size - _TAIL} bytes, and the file has {file.size_bytes}")
    if size > len(tail):
        tail = await parts.last(file, size)
    try:
        footer = pq.read_metadata(io.BytesIO(tail[-size:]))
        return _described(footer)
    except (pa.ArrowException, OSError) as e:
        raise NotAsDescribed(f"its footer cannot be read: {e}") from e


def _described(footer: Any) -> Description:
    codecs = {column["compression"] for column in _columns_of_first_group(footer)}
    if unknown := sorted(codecs & _NO_CODEC):
        raise NotAsDescribed(f"it is compressed with {unknown[0].lower()}, for which Spark has no codec")
    return Description(_schema(footer.schema), footer.num_rows)


def _columns_of_first_group(footer: Any) -> list[dict[str, Any]]:
    if not footer.num_row_groups:
        return []
    found: list[dict[str, Any]] = footer.row_group(0).to_dict()["columns"]
    return found


def _schema(found: Any) -> Struct:
    leaves: Iterator[Any] = (found.column(i) for i in range(len(found)))

    def leaf(field: pa.Field) -> str | None:
        column = next(leaves)
        if column.physical_type == "INT96":
            return "timestamp"
        return _BY_LOGICAL_TYPE.get(column.logical_type.type) or scalar(field.type)

    return struct(found.to_arrow_schema(), leaf)
