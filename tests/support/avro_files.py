"""Avro files, as fastavro writes them; with the codecs for which it needs more packages, as we pack them ourselves."""

import io
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import fastavro
import pyarrow as pa

Schema = dict[str, Any]

_OURS: Mapping[str, Callable[[bytes], bytes]] = {
    "snappy": lambda body: _compressed(body, "snappy") + zlib.crc32(body).to_bytes(4),
    "zstandard": lambda body: _compressed(body, "zstd"),
}


def record(**types: Any) -> Schema:
    """A record of fields of these types."""
    return {"type": "record", "name": "Row", "fields": [{"name": name, "type": of} for name, of in types.items()]}


def avro(schema: Any, rows: Iterable[Any], codec: str = "null", **options: Any) -> bytes:
    """``options`` are fastavro's."""
    written = io.BytesIO()
    ours = _OURS.get(codec)
    fastavro.writer(written, schema, rows, "null" if ours else codec, **options)
    return _packed(written, codec, ours) if ours else written.getvalue()


def long(number: int) -> bytes:
    """A number as Avro writes it."""
    folded, written = (number << 1) ^ (number >> 63), bytearray()
    while folded >= 0x80:
        written.append(folded & 0x7F | 0x80)
        folded >>= 7
    return bytes([*written, folded])


def text(body: bytes) -> bytes:
    """Bytes, or a text, as Avro writes them."""
    return long(len(body)) + body


def _packed(plain: io.BytesIO, codec: str, pack: Callable[[bytes], bytes]) -> bytes:
    plain.seek(0)
    blocks: Any = fastavro.block_reader(plain)
    sync, metadata = plain.getvalue()[-16:], {**blocks.metadata, "avro.codec": codec}
    entries = b"".join(text(key.encode()) + text(value.encode()) for key, value in metadata.items())
    written = b"Obj\x01" + long(len(metadata)) + entries + long(0) + sync
    for block in blocks:
        written += long(block.num_records) + text(pack(block.bytes_.getvalue())) + sync
    return written


def _compressed(body: bytes, codec: str) -> bytes:
    found: bytes = pa.compress(body, codec, asbytes=True)
    return found
