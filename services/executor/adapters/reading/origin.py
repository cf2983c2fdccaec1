"""Where the files of a batch are, as Spark sees it: exact paths in, and each row's file out."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from urllib.parse import quote

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.readwriter import DataFrameReader
from pyspark.sql.connect.session import SparkSession

from libs.common.compression import SUFFIXES, named
from libs.common.contracts.definition import Compression
from libs.common.ledger.model.files import FileVersion
from services.executor.adapters.describing.description import Description
from services.executor.domain.from_keys import KeyValues

_MOUNT = "autoloader"
_GLOB = re.compile(r"([{}\[\]*?\\])")
# A key's path comes back URI-encoded; url_decode would turn a literal + into a space. It is asked for with each record,
# and hardly ever has anything to decode.
PATH = (
    "CASE WHEN contains(_metadata.file_path, '%') THEN url_decode(replace(_metadata.file_path, '+', '%2B')) "
    "ELSE _metadata.file_path END"
)
WHOLE_FILE_BYTES = 2**31 - 1
"""What is larger is read in several partitions, if it can be cut."""
_WHOLE_FILES = {
    "spark.sql.files.maxPartitionBytes": str(WHOLE_FILE_BYTES),
    "spark.sql.files.openCostInBytes": str(WHOLE_FILE_BYTES),  # a partition is full with its first file
    "spark.sql.files.minPartitionNum": "1",  # otherwise a file is cut for every core to have a part
}
# Spark numbers the rows of a partition in the lower 33 bits.
_PLACE = "(monotonically_increasing_id() & 8589934591) + 1"
LINE = f"CASE WHEN _metadata.file_size <= {WHOLE_FILE_BYTES} THEN {_PLACE} END"

_KNOWN = "array<struct<uri: string, version: string, folders: map<string, string>>>"


@dataclass(frozen=True, slots=True)
class Origin:
    """A session, and the URL scheme under which it reads the source's files. ``described`` is what is known of files
    beside their names, by digest; ``compression`` is that of every file, whatever its name (None: as it says);
    ``from_keys`` is what their keys say for columns; ``folder`` is the prefix of the folder that the files to read fill
    (None: they are read path by path)."""

    spark: SparkSession
    scheme: str = "s3a"
    described: Mapping[bytes, Description] = field(default_factory=dict)
    compression: Compression | None = None
    from_keys: KeyValues = field(default_factory=dict)
    folder: str | None = None

    @property
    def read(self) -> DataFrameReader:
        """A reader for which k=v/ in a key is a name, not a column."""
        return self.spark.read.option("recursiveFileLookup", "true")

    def reading(self, files: Sequence[FileVersion]) -> DataFrameReader:
        """As ``read``, for ``paths`` of files whose names may lie about their compression.

        Hadoop goes by names alone. So such a file gets another one, in a mount table (viewfs) that is made of this
        reader's options and is gone with it.
        """
        reader = self.read
        for f in files:
            if (name := self._other_name(f)) is not None:
                target = f"{self.scheme}://{f.bucket}/{quote(f.key)}"
                reader = reader.option(f"fs.viewfs.mounttable.{_MOUNT}.link./{name}", target)
                # A mount table is of one reader, the store behind it is everybody's. Made anew for each, its
                # connections and threads would stay for ever: nobody closes them.
                reader = reader.option("fs.viewfs.impl.disable.cache", "true")
                reader = reader.option("fs.viewfs.enable.inner.cache", "false")
        return reader

    def text(self, files: Sequence[FileVersion]) -> DataFrame:
        """The lines of these files, as ``value``; they still have their ``_metadata``."""
        found = self.reading(files).text(self._places(files))
        if not self._is_folder_of(files):
            return found
        # Spark leaves out the others when it lists the folder, before it opens a file.
        return found.where(F.expr(PATH).isin([self.seen(f) for f in files]))

    def _is_folder_of(self, files: Sequence[FileVersion]) -> bool:
        """Whether these files are read as the folder that they fill, in which there may be others."""
        return self.folder is not None and not any(self._other_name(f) for f in files)

    def _places(self, files: Sequence[FileVersion]) -> list[str]:
        """What to hand to a reader (see ``reading``): the files, or their folder."""
        if self._is_folder_of(files):
            return [_escaped(f"{self.scheme}://{files[0].bucket}/{self.folder}")]
        return self.paths(files)

    def paths(self, files: Sequence[FileVersion]) -> list[str]:
        return [self.seen(f) if self._other_name(f) else exact_path(f, self.scheme) for f in files]

    def seen(self, file: FileVersion) -> str:
        """The path under which Spark reads a file, as it prints it, decoded."""
        name = self._other_name(file)
        return file_path(file, self.scheme) if name is None else f"viewfs://{_MOUNT}/{name}"

    def compression_of(self, file: FileVersion) -> Compression:
        told = self.described.get(file.digest)
        return self.compression or (told.compression if told else None) or named(file.key)

    def _other_name(self, file: FileVersion) -> str | None:
        compression = self.compression_of(file)
        return None if compression == named(file.key) else file.digest.hex() + SUFFIXES[compression]

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
        return rows.withColumn("line", F.expr(LINE))

    def with_files(self, rows: DataFrame, files: Sequence[FileVersion]) -> DataFrame:
        """The rows with their file: its position in ``files``, ``file`` (null: a stranger), and what ``with_known``
        adds. They come from ``read``, and still have their ``_metadata``."""
        return self.with_versions(rows.select("*", F.expr(PATH).alias("path")), files)

    def with_versions(self, rows: DataFrame, files: Sequence[FileVersion]) -> DataFrame:
        """As ``with_files``, of rows that have their ``path``."""
        array = F.from_json(F.lit(json.dumps([self.seen(f) for f in files])), "array<string>")
        index = self.spark.range(1).select(F.posexplode(array).alias("file", "path"))
        return self.with_known(rows.join(F.broadcast(index), "path", "left").drop("path"), files)

    def with_known(self, rows: DataFrame, files: Sequence[FileVersion]) -> DataFrame:
        """The rows, which have their ``file``, with its ``uri``, its ``version`` and what its key says, ``folders``."""
        known = [{"uri": f.uri, "version": f.version_tag, "folders": self.from_keys.get(f.digest)} for f in files]
        of = F.get(F.from_json(F.lit(json.dumps(known)), _KNOWN), F.col("file"))
        return rows.select("*", *(of.getField(name).alias(name) for name in ("uri", "version", "folders")))


def union(frames: Iterable[DataFrame]) -> DataFrame:
    """The rows of all, by the names of their columns."""
    return reduce(lambda one, other: one.unionByName(other), frames)


def file_path(file: FileVersion, scheme: str = "s3a") -> str:
    """The object's path as Spark prints it, decoded."""
    return f"{scheme}://{file.bucket}/{file.key}"


def exact_path(file: FileVersion, scheme: str = "s3a") -> str:
    """The path to hand to a reader, so that ``*?[]{}`` in a key mean themselves."""
    return _escaped(file_path(file, scheme))


def _escaped(path: str) -> str:
    return _GLOB.sub(r"\\\1", path)
