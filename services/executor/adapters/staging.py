"""The one pass over a batch's records: rows for the table, and in passing everything that the audit wants to know.

Observed on the very frame that is written: records, rows and bad records per file, fields that the schema lacks with
the files that carry them, and records of no known file. Nothing is read twice.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation
from pyspark.sql.connect.session import SparkSession

from libs.common.ledger.model import FileVersion
from libs.common.schema import Struct
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import is_ours


def observe(parsed: DataFrame, watch: Observation, files: int) -> DataFrame:
    """The same frame, watched while it is written. ``histogram_numeric`` with a bin per file is an exact count."""
    bins = F.lit(max(files, 2))
    return parsed.observe(
        cast("Any", watch),  # the connect frame takes the connect observation; the shared signature names the other
        F.histogram_numeric(F.col("file"), bins).alias("lines"),
        F.histogram_numeric(F.expr("CASE WHEN NOT blank AND NOT bad THEN file END"), bins).alias("rows"),
        F.histogram_numeric(F.expr("CASE WHEN bad THEN file END"), bins).alias("bad"),
        F.count_if(F.col("file").isNull()).alias("stray"),
        F.collect_set(F.when(F.size("unknown") > 0, F.struct("file", F.array_sort("unknown").alias("names")))).alias(
            "unknown"
        ),
    )


def rows_of(parsed: DataFrame, schema: Struct, run_id: str) -> DataFrame:
    """The good rows, in the table's columns: the data's, and those of ours that the table has."""
    ours = {
        "_file_path": F.expr("concat('s3', substring(path, instr(path, '://')))"),
        "_file_version": F.col("version"),
        "_loaded_at": F.current_timestamp(),
        "_run_id": F.lit(run_id),
    }
    return parsed.where("NOT blank AND NOT bad").select(
        *((ours[f.name] if is_ours(f) else F.col("row").getField(f.name)).alias(f.name) for f in schema.fields)
    )


def replacing(spark: SparkSession, new: DataFrame, uris: Sequence[str], marker: str) -> DataFrame:
    """The new rows, and one row more for each file whose rows they replace: its URI in the column ``marker``, which is
    null in all others."""
    gone = F.explode(F.from_json(F.lit(json.dumps(list(uris))), "array<string>"))
    return new.withColumn(marker, F.lit(None).cast("string")).unionByName(
        spark.range(1).select(gone.alias(marker)), allowMissingColumns=True
    )


def reads(observed: Mapping[str, Any], files: Sequence[FileVersion]) -> dict[bytes, FileRead]:
    """Per file digest, what the pass saw of it. Files without a line are absent."""
    lines, rows, bad = (_by_file(observed[name]) for name in ("lines", "rows", "bad"))
    return {
        files[position].digest: FileRead(count, rows.get(position, 0), bad.get(position, 0))
        for position, count in lines.items()
    }


def unknown_fields(observed: Mapping[str, Any], files: Sequence[FileVersion]) -> dict[bytes, frozenset[str]]:
    """Per file digest, the fields that the schema lacks."""
    found: dict[bytes, frozenset[str]] = {}
    for entry in observed["unknown"] or ():
        if entry["file"] is None:
            continue  # a line of no known file; the audit sees it among the strays
        digest = files[int(entry["file"])].digest
        found[digest] = found.get(digest, frozenset()) | frozenset(entry["names"])
    return found


def _by_file(histogram: Any) -> dict[int, int]:
    """Counts by file position. A file that was read in several partitions may have a bin from each."""
    counts: Counter[int] = Counter()
    for b in histogram or ():
        counts[round(b["x"])] += round(b["y"])
    return counts
