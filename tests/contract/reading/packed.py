"""The compressions of text, as their names say: a suffix, and what writes it."""

import bz2
import gzip
import zlib
from collections.abc import Callable

import pyarrow as pa

from tests.support.hadoop_snappy import hadoop_snappy

PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "none": ("", lambda body: body),
    "gzip": (".gz", gzip.compress),
    "bzip2": (".bz2", bz2.compress),
    "deflate": (".deflate", zlib.compress),
    "zstd": (".zst", lambda body: pa.compress(body, codec="zstd", asbytes=True)),
    "snappy": (".snappy", hadoop_snappy),
}
