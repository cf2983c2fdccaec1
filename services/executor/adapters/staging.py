"""The one pass over a batch's records: rows for the table, and in passing everything that the audit wants to know.

Observed on the very frame that is written: records, rows and bad records per file, fields that the schema lacks and
columns that a value does not fit with the files that carry them, and records of no known file. Nothing is read twice.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation
from pyspark.sql.connect.session import SparkSession

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct, literal, sql
from services.executor.adapters.observing import watched
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import is_from_key, is_ours, is_rescued


def observe(parsed: DataFrame, watch: Observation, files: int) -> DataFrame:
    """The same frame, watched while it is written. ``histogram_numeric`` with a bin per file is an exact count, and
    costs little for what is null: so what is no row is counted, and not the rows."""
    bins = F.lit(max(files, 2))
    return watched(
        parsed,
        watch,
        F.histogram_numeric(F.col("file"), bins).alias("lines"),
        F.histogram_numeric(F.expr("CASE WHEN blank THEN file END"), bins).alias("blank"),
        F.histogram_numeric(F.expr("CASE WHEN bad THEN file END"), bins).alias("bad"),
        F.count_if(F.col("file").isNull()).alias("stray"),
        _carriers("unknown"),
        _carriers("misfits"),
    )


def _carriers(names: str) -> Column:
    """Which files have which of the names in an array column."""
    return F.collect_set(F.when(F.size(names) > 0, F.struct("file", F.array_sort(names).alias("names")))).alias(names)


def rows_of(parsed: DataFrame, schema: Struct, run_id: str) -> DataFrame:
    """The good rows, in the table's columns: the data's, those that keys fill, and those of ours that the table has."""
    uri = F.col("uri")
    ours = {
        "_file_path": uri,
        "_file_version": F.col("version"),
        "_loaded_at": F.current_timestamp(),
        "_run_id": F.lit(run_id),
    }

    def value_of(field: Field) -> Column:
        if is_rescued(field):
            return _rescued(uri)
        if is_from_key(field):
            return F.expr(f"CAST(folders[{literal(field.name)}] AS {sql(field.type)})")
        return ours[field.name] if is_ours(field) else F.col("row").getField(field.name)

    return parsed.where("NOT blank AND NOT bad").select(*(value_of(f).alias(f.name) for f in schema.fields))


def _rescued(uri: Column) -> Column:
    """What no column holds, with the file that it stands in: the object ``outside``, and one member more."""
    member = F.expr("substring(outside, 1, length(outside) - 1)")
    path = F.to_json(F.struct(uri.alias("_file_path")))
    return F.concat(member, F.lit(","), F.substring(path, 2, 2**31 - 1))


def replacing(spark: SparkSession, new: DataFrame, uris: Sequence[str], marker: str) -> DataFrame:
    """The new rows, and one row more for each file whose rows they replace: its URI in the column ``marker``, which is
    null in all others."""
    gone = F.explode(F.from_json(F.lit(json.dumps(list(uris))), "array<string>"))
    return new.withColumn(marker, F.lit(None).cast("string")).unionByName(
        spark.range(1).select(gone.alias(marker)), allowMissingColumns=True
    )


def reads(observed: Mapping[str, Any], files: Sequence[FileVersion]) -> dict[bytes, FileRead]:
    """Per file digest, what the pass saw of it. Files without a line are absent."""
    lines, blank, bad = (_by_file(observed[name]) for name in ("lines", "blank", "bad"))
    return {
        files[position].digest: FileRead(count, count - blank[position] - bad[position], bad[position])
        for position, count in lines.items()
    }


def carried(observed: Mapping[str, Any], names: str, files: Sequence[FileVersion]) -> dict[bytes, frozenset[str]]:
    """Per file digest, what was observed as ``unknown`` (fields that the schema lacks) or as ``misfits`` (columns)."""
    found: dict[bytes, frozenset[str]] = {}
    for entry in observed[names] or ():
        if entry["file"] is None:
            continue  # a line of no known file; the audit sees it among the strays
        digest = files[int(entry["file"])].digest
        found[digest] = found.get(digest, frozenset()) | frozenset(entry["names"])
    return found


def _by_file(histogram: Any) -> Counter[int]:
    """Counts by file position. A file that was read in several partitions may have a bin from each."""
    counts: Counter[int] = Counter()
    for b in histogram or ():
        counts[round(b["x"])] += round(b["y"])
    return counts
