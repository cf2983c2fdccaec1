"""Parquet, Avro and ORC: files that bring their own schema.

Files of one schema are one read, in the types that they have; what the table's columns hold of them is said in SQL
(``conversion``). So nothing depends on what Spark's readers convert by themselves, and nothing is known too late: a
file's schema is in its description before the pass begins.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct, to_json
from services.executor.adapters.reading import conversion
from services.executor.adapters.reading.origin import Origin, union
from services.executor.adapters.reading.typed_record import TypedRecord
from services.executor.domain.file_types import merged, stored, unstorable
from services.executor.ports import FilesUnreadable

_NO_OPTIONS: Final[Mapping[str, str]] = {}


class TypedFiles:
    """See ``reader.Reader``. The origin has the description of every file; ``format_`` is Spark's name for them,
    and ``options`` are its reader's."""

    def __init__(self, format_: str, options: Mapping[str, str] = _NO_OPTIONS) -> None:
        self._format = format_
        self._options = options

    def infer(self, origin: Origin, files: Sequence[FileVersion]) -> Struct:
        schemas = {f.digest: origin.described[f.digest].schema for f in files}
        _refuse_unstorable(schemas)
        found = reduce(merged, map(stored, dict.fromkeys(schemas.values())), stored(Struct()))
        assert isinstance(found, Struct)
        return found

    def records(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        return self._read(origin, files, schema, numbered=False)

    def numbered(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        return self._read(origin, files, schema, numbered=True)

    def known_empty(self, origin: Origin, files: Sequence[FileVersion]) -> frozenset[bytes]:
        return frozenset(f.digest for f in files if origin.described[f.digest].rows == 0)

    def check(self, origin: Origin, file: FileVersion) -> None:
        rows = self._load(origin, [file], origin.described[file.digest].schema)
        rows.write.format("noop").mode("overwrite").save()

    def _read(self, origin: Origin, files: Sequence[FileVersion], table: Struct, *, numbered: bool) -> DataFrame:
        alike: dict[Struct, list[FileVersion]] = {}
        for f in files:
            alike.setdefault(origin.described[f.digest].schema, []).append(f)
        kinds = {schema: TypedRecord.of(table, schema) for schema in alike}
        _refuse_unstorable({f.digest: kinds[schema].needed for schema, group in alike.items() for f in group})
        groups = (
            self._load(origin, group, kinds[schema].needed).selectExpr(*kinds[schema].columns(numbered=numbered))
            for schema, group in alike.items()
        )
        return origin.with_versions(union(groups), files)

    def _load(self, origin: Origin, files: Sequence[FileVersion], schema: Struct) -> DataFrame:
        types = StructType.fromJson(to_json(conversion.read_as(schema)))
        return origin.read.format(self._format).options(**self._options).schema(types).load(origin.paths(files))


def _refuse_unstorable(schemas: Mapping[bytes, Struct]) -> None:
    reasons = {digest: reason for digest, schema in schemas.items() if (reason := unstorable(schema)) is not None}
    if reasons:
        raise FilesUnreadable(reasons)
