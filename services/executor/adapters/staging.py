"""The one pass over a batch's records: rows for the table, and in passing everything that the audit wants to know.

Observed on the very frame that is written: records, rows and bad records per file, records of no known file, and fields
that the schema lacks and columns that a value does not fit, with the files that carry them. Nothing is read twice.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation
from pyspark.sql.connect.session import SparkSession

from libs.common.errors import Temporary
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct, literal, sql
from services.executor.adapters.observing import watched
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import is_from_key, is_ours, is_rescued

_STRANGER = -1
_ROW, _BLANK, _BAD = range(3)
_KINDS = 4


def observe(parsed: DataFrame, watch: Observation, files: int) -> DataFrame:
    """The same frame, watched while it is written: how many records of each kind each file has (``reads``), and which
    files have which names that no column is for (``carried``).

    What is watched costs with every record. So it is two questions, whose answers Spark has computed when it asks them:
    ``histogram_numeric`` with a bin for each file and kind is an exact count, and of most records no name is told. It
    counts doubles: where it merges the bins of two tasks it reckons, and of whole numbers Spark would cut off what is
    then missing.
    """
    kind = F.when(F.col("bad"), _BAD).when(F.col("blank"), _BLANK).otherwise(_ROW)
    asked = parsed.withColumn("counted", F.coalesce("file", F.lit(_STRANGER)) * _KINDS + kind).withColumn(
        "carrying",
        F.when(
            (F.size("unknown") > 0) | (F.size("misfits") > 0),
            F.struct("file", F.sort_array("unknown").alias("unknown"), F.sort_array("misfits").alias("misfits")),
        ),
    )
    return watched(
        asked,
        watch,
        F.histogram_numeric(F.col("counted").cast("double"), F.lit(_KINDS * (files + 1))).alias("counts"),
        F.collect_set("carrying").alias("carriers"),
    )


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
    """Per file digest, what the pass saw of it. Files without a line are absent.

    Raises:
        Temporary: ``miscounted``: Spark did not send what it counted, which it does not always, or it makes no sense.
    """
    if "counts" not in observed and any(f.size_bytes for f in files):
        raise _miscounted("Spark did not send what it counted in the staging pass")
    counts = _counts(observed)
    if any(kind not in (_ROW, _BLANK, _BAD) or file >= len(files) for file, kind in counts):
        raise _miscounted(f"counts of records that cannot be: {dict(counts)}")
    seen = {file for file, _ in counts if file != _STRANGER}
    return {
        files[file].digest: FileRead(
            counts[file, _ROW] + counts[file, _BLANK] + counts[file, _BAD], counts[file, _ROW], counts[file, _BAD]
        )
        for file in sorted(seen)
    }


def strays(observed: Mapping[str, Any]) -> int:
    """How many records were seen of no known file."""
    return sum(count for (file, _), count in _counts(observed).items() if file == _STRANGER)


def carried(observed: Mapping[str, Any], names: str, files: Sequence[FileVersion]) -> dict[bytes, frozenset[str]]:
    """Per file digest, what was observed as ``unknown`` (fields that the schema lacks) or as ``misfits`` (columns)."""
    found: dict[bytes, frozenset[str]] = {}
    for entry in observed.get("carriers") or ():
        if entry["file"] is None or not entry[names]:
            continue  # a line of no known file is told by ``strays``
        digest = files[int(entry["file"])].digest
        found[digest] = found.get(digest, frozenset()) | frozenset(entry[names])
    return found


def _counts(observed: Mapping[str, Any]) -> Counter[tuple[int, int]]:
    """Records by file position and kind. A file that was read in several partitions may have a bin from each."""
    counts: Counter[tuple[int, int]] = Counter()
    for b in observed.get("counts") or ():
        counts[divmod(round(b["x"]), _KINDS)] += round(b["y"])
    return counts


def _miscounted(message: str) -> Temporary:
    return Temporary(message, code="miscounted", hint="the batch is staged again")
