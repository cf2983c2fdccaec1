"""What files are compressed with: by name, by content, and what is at their start."""

import bz2
import gzip
import zlib

import pyarrow as pa
import pytest

from libs.common.compression import found, named, unpacked
from libs.common.contracts.definition import Compression
from tests.support.hadoop_snappy import hadoop_snappy

BODY = b"a,b\n" * 50_000
PACKED: dict[Compression, bytes] = {
    "none": BODY,
    "gzip": gzip.compress(BODY),
    "bzip2": bz2.compress(BODY),
    "zstd": pa.compress(BODY, codec="zstd", asbytes=True),
    "deflate": zlib.compress(BODY),
}


@pytest.mark.parametrize(
    ("key", "compression"),
    [("a.csv", "none"), ("a.csv.gz", "gzip"), ("a.bz2", "bzip2"), ("a.zst", "zstd"), ("a.zstd", "zstd"),
     ("a.deflate", "deflate"), ("a.snappy", "snappy"), ("a.lz4", "lz4"), ("a.GZ", "none"), ("gz", "none")],
)  # fmt: skip
def test_a_name_says_what_spark_takes_it_for(key: str, compression: Compression) -> None:
    """By its ending alone, in lower case."""
    assert compression == named(key)


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "zstd"])
def test_content_is_believed_more_than_a_name(compression: Compression) -> None:
    """A mark is a mark; without one, a name that promises one is wrong."""
    assert compression == found("a.csv", PACKED[compression]) == found("a.gz", PACKED[compression])
    assert "none" == found("a.gz", BODY) == found("a.csv", BODY)
    assert ("deflate", "gzip") == (found("a.deflate", BODY), found("a.gz", b""))


def test_text_that_begins_like_an_archive_is_text() -> None:
    """Letters alone are no mark."""
    assert "none" == found("a.csv", b"BZh9,name,id\n") == found("a.csv", b"x^2,y\n")


@pytest.mark.parametrize("compression", PACKED)
def test_the_start_of_what_is_inside_comes_out_of_the_start(compression: Compression) -> None:
    """And no more of it than asked for: a few bytes can hold gigabytes."""
    packed = PACKED[compression]
    assert BODY[:1000] == unpacked(packed, compression, 1000)
    assert BODY == unpacked(packed, compression, 10**7)
    half = unpacked(packed[: len(packed) // 2], compression, 10**7)
    assert half is not None
    assert BODY.startswith(half)


def test_hadoops_snappy_is_looked_into() -> None:
    """As far as whole chunks of it are there."""
    packed = hadoop_snappy(BODY)
    assert BODY == unpacked(packed, "snappy", 10**7)
    assert BODY[:60_000] == unpacked(packed[:-10], "snappy", 60_000)
    assert BODY == unpacked(hadoop_snappy(BODY[:100_000]) + hadoop_snappy(BODY[100_000:]), "snappy", 10**7)


def test_what_is_not_compressed_so_is_told() -> None:
    """Not taken for an empty file."""
    for compression in ("gzip", "bzip2", "zstd", "deflate"):
        with pytest.raises(ValueError, match=r"."):
            unpacked(BODY, compression, 1000)
    assert unpacked(BODY, "lz4", 1000) is None
