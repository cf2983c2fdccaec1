"""A batch on its way into its table: staged, or put off in a table that cannot stage, and published.

A table that refuses ``write.wap.enabled`` cannot stage. There a batch is read once to nowhere, for the audit, and its
publish is *look, then append*, labelled ``effectively_once``: two executors could both look before either appends. The
lease, and the look right before, leave that to one that is frozen in between.

All of it is called in the session's thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from pyspark.sql import DataFrame
from pyspark.sql.connect.observation import Observation

from libs.common.errors import Permanent, Temporary
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct
from services.executor.adapters import iceberg_sql, read_back, staging
from services.executor.adapters.batch_files import BatchFiles
from services.executor.adapters.snapshots import StagedSnapshot, added_by, append, marked, stage_rows, stage_statement
from services.executor.adapters.spark_columns import SparkColumns
from services.executor.adapters.spark_errors import is_schema_mismatch
from services.executor.adapters.table_session import TableSession
from services.executor.domain.audit import Staged
from services.executor.domain.from_keys import KeyValues
from services.executor.ports import Copy


class BatchSnapshots:
    """``columns`` know whether the table can stage. The methods are ``ports.Table``'s."""

    def __init__(self, on: TableSession, columns: SparkColumns) -> None:
        self._on = on
        self._columns = columns
        self._put_off: dict[int, Callable[[], None]] = {}

    def stage(
        self,
        source: BatchFiles,
        files: Sequence[FileVersion],
        schema: Struct,
        wap_id: str,
        properties: Mapping[str, str],
        from_keys: KeyValues,
    ) -> Staged:
        watch = Observation()
        records = source.reader.records(replace(source.origin, from_keys=from_keys), files, schema)
        run_id = properties["autoloader.run"]
        rows = staging.rows_of(staging.observe(records, watch, len(files)), schema, run_id)
        if self._columns.can_stage:
            snapshot = self._stage_rows(rows, schema, wap_id, properties)
            snapshot_id, added = snapshot.id, snapshot.added_records
            seen = watch.get
        else:
            rows.write.format("noop").mode("overwrite").save()
            snapshot_id = self._stage_later(staging.rows_of(records, schema, run_id), wap_id, properties)
            seen = watch.get
            added = sum(read.rows for read in staging.reads(seen, files).values())
        reads = staging.reads(seen, files)
        silent = [f for f in files if f.size_bytes and f.digest not in reads]
        return Staged(
            snapshot_id=snapshot_id,
            added_records=added,
            reads=reads,
            empty=source.reader.known_empty(source.origin, silent),
            unknown_fields=staging.carried(seen, "unknown", files),
            misfits=staging.carried(seen, "misfits", files),
            stray_lines=staging.strays(seen),
        )

    def stage_burn(self, wap_id: str, properties: Mapping[str, str]) -> int:
        nothing = self._on.spark.table(self._on.to.identifier).limit(0)
        if not self._columns.can_stage:
            return self._stage_later(nothing, wap_id, properties)
        return stage_rows(self._on, nothing, wap_id, properties).id

    def stage_replacement(
        self, rows_from: int, uris: Sequence[str], wap_id: str, properties: Mapping[str, str]
    ) -> Copy:
        if not self._columns.can_stage:
            raise Permanent(
                f"{self._on.to.identifier} refuses staging, so rows cannot be replaced in it in one commit",
                code="cannot_replace",
                hint=f"let Autoloader set {iceberg_sql.WAP_ENABLED} on the table",
            )
        new = added_by(self._on, rows_from)
        view = f"autoloader_{uuid4().hex}"
        staging.replacing(self._on.spark, new, uris, iceberg_sql.REPLACES).createOrReplaceTempView(view)
        try:
            statement = iceberg_sql.replace_rows(self._on.to, view, new.columns)
            staged = stage_statement(self._on, statement, wap_id, properties)
        finally:
            self._on.spark.catalog.dropTempView(view)
        return Copy(staged.id, staged.parent_id)

    def publish(self, snapshot_id: int) -> None:
        if (append_now := self._put_off.get(snapshot_id)) is not None:
            append_now()
        else:
            self._on.do(iceberg_sql.cherry_pick(self._on.to, snapshot_id))

    def _stage_rows(
        self, rows: DataFrame, schema: Struct, wap_id: str, properties: Mapping[str, str]
    ) -> StagedSnapshot:
        try:
            return stage_rows(self._on, rows, wap_id, properties)
        except Exception as e:
            if is_schema_mismatch(e) and self._on.schema() != schema:
                # A field that another batch added inside a struct; new columns are filled with nulls.
                raise Temporary(
                    f"the columns of {self._on.to.identifier} changed under the batch", code="schema_changed"
                ) from e
            raise

    def _stage_later(self, rows: DataFrame, wap_id: str, properties: Mapping[str, str]) -> int:
        """Keeps the append for ``publish``; returns the number to publish it under, which no snapshot has."""
        number = -2 - len(self._put_off)
        told = marked(properties, wap_id, str(uuid4())) | {iceberg_sql.GUARANTEE: "effectively_once"}

        def look_then_append() -> None:
            if read_back.published(self._on, wap_id) is not None:
                raise Temporary(f"{wap_id} is in {self._on.to.identifier} already", code="published_already")
            append(rows, self._on.to, told)

        self._put_off[number] = look_then_append
        return number
