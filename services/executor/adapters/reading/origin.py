"""Where the files of a batch are, as Spark sees it: exact paths in, and each row's file out."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.readwriter import DataFrameReader
from pyspark.sql.connect.session import SparkSession

from libs.common.ledger.model import FileVersion

_GLOB = re.compile(r"([{}\[\]*?\\])")
# A key's path comes back URI-encoded; url_decode would turn a literal + into a space.
_PATH = "url_decode(replace(_metadata.file_path, '+', '%2B'))"
WHOLE_FILE_BYTES = 2**31 - 1
"""What is larger is read in several partitions, if it can be cut."""
_WHOLE_FILES = {
    "spark.sql.files.maxPartitionBytes": str(WHOLE_FILE_BYTES),
    "spark.sql.files.openCostInBytes": str(WHOLE_FILE_BYTES),  # a partition is full with its first file
    "spark.sql.files.minPartitionNum": "1",  # otherwise a file is cut for every core to have a part
}
# Spark numbers the rows of a partition in the lower 33 bits.
_LINE = "(monotonically_increasing_id() & 8589934591) + 1"


@dataclass(frozen=True, slots=True)
class Origin:
    """A session, and the URL scheme under which it reads the source's files."""

    spark: SparkSession
    scheme: str = "s3a"

    @property
    def read(self) -> DataFrameReader:
        """A reader for which k=v/ in a key is a name, not a column."""
        return self.spark.read.option("recursiveFileLookup", "true")

    def paths(self, files: Sequence[FileVersion]) -> list[str]:
        return [exact_path(f, self.scheme) for f in files]

    @contextmanager
    def whole_files(self) -> Iterator[None]:
        """Inside, each file is one partition, if it is not larger than ``WHOLE_FILE_BYTES``."""
        before = {name: self.spark.conf.get(name, None) for name in _WHOLE_FILES}
        try:
            for name, value in _WHOLE_FILES.items():
                self.spark.conf.set(name, value)
            yield
        finally:
            for name, earlier in before.items():
                if earlier is None:
                    self.spark.conf.unset(name)
                else:
                    self.spark.conf.set(name, earlier)

    def with_lines(self, rows: DataFrame) -> DataFrame:
        """The rows as they come from ``read``, with their place in their file, ``line`` (see ``whole_files``); null in
        a file that is too large."""
        line = f"CASE WHEN _metadata.file_size <= {WHOLE_FILE_BYTES} THEN {_LINE} END"
        return rows.withColumn("line", F.expr(line))

    def with_files(self, rows: DataFrame, files: Sequence[FileVersion]) -> DataFrame:
        """The rows with their file: its ``path``, its ``version``, and its position in ``files``, ``file`` (null: a
        stranger). They come from ``read``, and still have their ``_metadata``."""
        named = [{"path": file_path(f, self.scheme), "version": f.version_tag} for f in files]
        known = F.from_json(F.lit(json.dumps(named)), "array<struct<path: string, version: string>>")
        index = self.spark.range(1).select(F.posexplode(known).alias("file", "of"))
        index = index.select("file", "of.path", "of.version")
        return rows.select("*", F.expr(_PATH).alias("path")).join(F.broadcast(index), "path", "left")


def file_path(file: FileVersion, scheme: str = "s3a") -> str:
    """The object's path as Spark prints it, decoded."""
    return f"{scheme}://{file.bucket}/{file.key}"


def exact_path(file: FileVersion, scheme: str = "s3a") -> str:
    """The path to hand to a reader, so that ``*?[]{}`` in a key mean themselves."""
    return _GLOB.sub(r"\\\1", file_path(file, scheme))
