"""Text as Hadoop compresses it with snappy (``.snappy``): its own framing of raw snappy, without a mark."""

import pyarrow as pa


def hadoop_snappy(body: bytes, chunk_bytes: int = 60_000) -> bytes:
    """One block: how long it is unpacked, and its chunks, each behind its packed length (Hadoop's
    ``BlockCompressorStream``; lengths are four bytes, big-endian)."""
    out = len(body).to_bytes(4)
    for at in range(0, len(body), chunk_bytes):
        packed = pa.compress(body[at : at + chunk_bytes], codec="snappy", asbytes=True)
        out += len(packed).to_bytes(4) + packed
    return out
