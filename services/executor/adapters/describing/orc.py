"""ORC's tail: the file's schema, how many rows it has, and what they are compressed with."""

from typing import Final

import pyarrow as pa
from pyarrow import orc

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import structs_in
from services.executor.adapters.describing.arrow_types import scalar, struct
from services.executor.adapters.describing.description import HEADER_BYTES_MAX, Description, NotAsDescribed, Parts

_MAGIC: Final = b"ORC"
_POSTSCRIPT_BYTES_MAX: Final = 255
"""Its length is the file's last byte; before that it ends with the mark."""
# Taken at the first look: enough for most tails, and little of the file.
_GUESS_SHARE, _GUESS_MAX = 256, 64 * 1024
_FOOTER_LENGTH: Final = b"\x08"
"""What comes before the number, as protobuf writes it: the first field, a varint."""
_NO_CODEC: Final = frozenset({"LZO", "BROTLI"})
_SPARKS_WORD: Final = b"spark.sql.catalyst.type"


async def describe(parts: Parts, file: FileVersion) -> Description:
    """See ``description.Describe``."""
    guess = max(_POSTSCRIPT_BYTES_MAX + 1, min(file.size_bytes // _GUESS_SHARE, _GUESS_MAX))
    tail = await parts.last(file, guess)
    if tail[-1 - len(_MAGIC) : -1] != _MAGIC:
        raise await parts.misnamed(file, "ORC")
    size = tail_bytes(tail)
    if size is None or size > min(file.size_bytes, HEADER_BYTES_MAX):
        raise NotAsDescribed("its tail says of its footer what cannot be")
    if size > len(tail):
        tail = await parts.last(file, size)
    try:
        # The reader wants something before the tail: the mark with which every file begins.
        found = orc.ORCFile(pa.BufferReader(_MAGIC + tail[-size:]))
        return _described(found)
    except (pa.ArrowException, OSError) as e:
        raise NotAsDescribed(f"its footer cannot be read: {e}") from e


def tail_bytes(tail: bytes) -> int | None:
    """How many bytes footer and postscript have, by the file's last bytes; None: they do not say it."""
    postscript = tail[-1 - tail[-1] : -1]
    if not postscript.startswith(_FOOTER_LENGTH):
        return None
    length = 0
    for place, byte in enumerate(postscript[1:]):
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return 1 + len(postscript) + length
    return None


def _described(found: orc.ORCFile) -> Description:
    if found.compression in _NO_CODEC:
        raise NotAsDescribed(f"it is compressed with {found.compression.lower()}; write it with zlib or zstd")
    schema = struct(found.schema, _leaf)
    names = (f.name for _, within in structs_in(schema) for f in within.fields)
    if (unfound := next((name for name in names if "`" in name), None)) is not None:
        raise NotAsDescribed(
            f"its column {unfound!r} has a backtick in its name, under which Spark finds nothing in ORC"
        )
    return Description(schema, found.nrows)


def _leaf(field: pa.Field) -> str | None:
    if pa.types.is_union(field.type):
        raise NotAsDescribed(f"its column {field.name!r} is a union, which Spark cannot read")
    if pa.types.is_timestamp(field.type):
        if field.type.tz:
            raise NotAsDescribed(
                f"its column {field.name!r} is a timestamp with local time zone, which Spark cannot read in ORC; write "
                "a timestamp without one"
            )
        return "timestamp_ntz_text"
    return "timestamp_ntz" if _is_sparks_ntz(field) else scalar(field.type)


def _is_sparks_ntz(field: pa.Field) -> bool:
    """Spark writes such times as numbers, and says so beside them."""
    told = (field.metadata or {}).get(_SPARKS_WORD)
    return pa.types.is_int64(field.type) and told == b"timestamp_ntz"
