"""The quarantine of a table on Spark and Iceberg: a second look at files with bad records, staged beside the batch.

The methods are called in the session's thread. What they write is a batch's, under the batch's wap id, as in the table
itself; so it enters the quarantine's ancestry once.
"""

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import DataFrame, Row
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.window import Window

from libs.common.errors import Permanent
from libs.common.ids import BatchId
from libs.common.ledger.model.files import BadRecord, BadRecords, FileVersion
from libs.common.schema import Struct
from services.executor.adapters import iceberg_sql, read_back
from services.executor.adapters.batch_files import BatchFiles
from services.executor.adapters.creation_sql import create_table
from services.executor.adapters.snapshots import added_by, stage_rows
from services.executor.adapters.spark_errors import is_table_missing
from services.executor.adapters.table_session import TableSession
from services.executor.domain.layout import PLAIN
from services.executor.domain.quarantine import (
    COLUMNS,
    FIRST_CHARACTERS_MAX,
    FIRST_OF_A_BATCH_MAX,
    FIRST_OF_A_FILE_MAX,
    RAW_CHARACTERS_MAX,
)

_IS_WHOLE = f"coalesce(is_valid_utf8(raw) AND length(raw) <= {RAW_CHARACTERS_MAX}, false)"


class SparkQuarantine:
    """``on`` is for the quarantine's own name; ``source`` is where the bad records are read."""

    def __init__(self, on: TableSession, source: BatchFiles) -> None:
        self._on = on
        self._to = on.to
        self._source = source

    def stage(
        self, files: Sequence[FileVersion], schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> dict[bytes, BadRecords]:
        """See ``ports.Table.stage_bad_records``.

        Raises:
            Permanent: code ``cannot_quarantine``: the quarantine refuses staging.
        """
        self._make()
        origin = self._source.origin
        with origin.whole_files():
            records = self._source.reader.numbered(origin, files, schema)
            staged = stage_rows(self._on, _rows(records, properties), wap_id, properties)
        return _written(added_by(self._on, staged.id), files)

    def staged(self, wap_id: str, attempt: str | None) -> int | None:
        found = self._look(iceberg_sql.staged_by_attempt(self._to, wap_id, attempt))
        return int(found[0]["snapshot_id"]) if found else None

    def publish(self, snapshot_id: int) -> None:
        self._on.do(iceberg_sql.cherry_pick(self._to, snapshot_id))

    def has(self, wap_id: str) -> bool:
        return read_back.published(self._on, wap_id) is not None

    def counts(self) -> dict[str, dict[str, int]]:
        """How many records stand there, by batch and file."""
        found: dict[str, dict[str, int]] = {}
        for row in self._look(iceberg_sql.bad_records(self._to)):
            found.setdefault(row["batch_id"], {})[row["file"]] = int(row["records"])
        return found

    def remove(self, batch_ids: Collection[BatchId], uris: Sequence[str]) -> None:
        self._look(iceberg_sql.remove_bad_records(self._to, batch_ids, uris))

    def _make(self) -> None:
        self._on.do(create_table(self._to, COLUMNS, PLAIN))
        if self._on.properties().get(iceberg_sql.WAP_ENABLED) != "true":
            raise Permanent(
                f"{self._to.identifier} refuses staging, so bad records cannot be set aside in it exactly once",
                code="cannot_quarantine",
                hint=f"set {iceberg_sql.WAP_ENABLED} on it, or quality.on_error: skip_file on the ingestion",
            )

    def _look(self, statement: str) -> Sequence[Row]:
        try:
            self._on.refresh()
            return self._on.sql(statement)
        except Exception as e:
            if is_table_missing(e):
                return ()
            raise


def _rows(records: DataFrame, properties: Mapping[str, str]) -> DataFrame:
    """Bad records in the quarantine's columns."""
    values = {
        "file": F.col("uri"),
        "file_version": F.col("version"),
        "line": F.col("line").cast("bigint"),
        "raw": F.expr(f"left(make_valid_utf8(raw), {RAW_CHARACTERS_MAX})"),
        "is_raw_whole": F.expr(_IS_WHOLE),
        "reason": F.col("reason"),
        "ingestion_id": F.lit(properties["autoloader.ingestion"]),
        "run_id": F.lit(properties["autoloader.run"]),
        "batch_id": F.lit(properties["autoloader.batch"]),
        "quarantined_at": F.current_timestamp(),
    }
    return records.where("bad").select(*(values[f.name].alias(f.name) for f in COLUMNS.fields))


def _written(rows: DataFrame, files: Sequence[FileVersion]) -> dict[bytes, BadRecords]:
    """What a staged snapshot holds, by file. Read from it, so that the source's bytes are not."""
    counts = {row["file"]: int(row["count"]) for row in rows.groupBy("file").count().collect()}
    place = F.row_number().over(Window.partitionBy("file").orderBy("line"))
    first = rows.withColumn("place", place).where(F.col("place") <= FIRST_OF_A_FILE_MAX)
    shown = first.orderBy("place", "file").limit(FIRST_OF_A_BATCH_MAX)
    raw = F.left("raw", F.lit(FIRST_CHARACTERS_MAX)).alias("raw")
    by_file: dict[str, list[BadRecord]] = {}
    for row in shown.select("file", "line", "reason", raw).collect():
        by_file.setdefault(row["file"], []).append(BadRecord(row["line"], row["reason"], row["raw"]))
    return {f.digest: BadRecords(counts[f.uri], tuple(by_file.get(f.uri, ()))) for f in files if f.uri in counts}
