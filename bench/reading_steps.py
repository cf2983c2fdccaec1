"""What each step of reading NDJSON costs: the pass of the executor, put together step by step, into nowhere.

    python -m devstack run -- python -m bench.reading_steps [WORKLOAD] [ROUNDS]

Spark throws the rows away (its ``noop`` sink), so what is measured is reading alone: first Spark's own JSON source,
then the parts of ours, each with one thing more: as lines of text, and inside of Spark. Variants take turns; the first
round does not count.
"""

import sys
import time
from collections.abc import Callable
from uuid import uuid4

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.observation import Observation
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import StringType, StructType

from bench.measures import Took
from bench.report import told
from bench.rounds import Runner, compare
from bench.stack import SPARK_URL, bucket_of_its_own, put_all, refuse_unless_up, s3_client
from bench.workloads import COLUMNS, DDL, WORKLOADS, Workload
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct, to_json
from services.executor.adapters.reading import json_lines, plain_lines
from services.executor.adapters.reading.json_plain import is_plain
from services.executor.adapters.reading.json_schema import CORRUPT
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.spark_sessions import SessionKey, open_session
from services.executor.adapters.staging import observe, rows_of

_SCHEMA = Struct(tuple(Field(name, type_.lower()) for name, type_ in COLUMNS.items()))
_KEPT = ("file", "uri", "version", "folders", "row", "blank", "bad", "unknown", "misfits", "outside")


class Steps:
    """Frames over the files of one workload, which fill their folder."""

    def __init__(self, spark: SparkSession, work: Workload, files: list[FileVersion]) -> None:
        self._spark = spark
        self._folder = f"s3a://{work.source}"
        self._files = files
        self._origin = Origin(spark, folder=work.prefix)

    def source(self) -> DataFrame:
        return self._spark.read.schema(DDL).json(self._folder)

    def lines(self) -> DataFrame:
        return self._spark.read.text(self._folder).withColumnRenamed("value", "raw")

    def with_files(self) -> DataFrame:
        return self._origin.with_files(self._origin.text(self._files).withColumnRenamed("value", "raw"), self._files)

    def parsed(self) -> DataFrame:
        return _columns(_parsed(self.lines()))

    def parsed_with_files(self) -> DataFrame:
        return _columns(_barrier(_parsed(self.with_files()).select("row", "file")))

    def proved(self) -> DataFrame:
        lines = _parsed(self.with_files()).withColumn("plain", is_plain(_SCHEMA, CORRUPT))
        return _columns(_barrier(lines.select("row", "file", "plain")).where("plain"))

    def judged(self) -> DataFrame:
        return rows_of(_barrier(json_lines.parse(self.with_files(), _SCHEMA).select(*_KEPT)), _SCHEMA, "run")

    def observed(self) -> DataFrame:
        watched = observe(json_lines.parse(self.with_files(), _SCHEMA), Observation(), len(self._files))
        return rows_of(watched, _SCHEMA, "run")

    def inside(self) -> DataFrame:
        record = StructType.fromJson(to_json(_SCHEMA)).add(CORRUPT, StringType())
        return _columns(plain_lines.records(self._origin, self._files, record, CORRUPT, ()))

    def inside_judged(self) -> DataFrame:
        return rows_of(_barrier(self._records().select(*_KEPT)), _SCHEMA, "run")

    def inside_observed(self) -> DataFrame:
        return rows_of(observe(self._records(), Observation(), len(self._files)), _SCHEMA, "run")

    def _records(self) -> DataFrame:
        return json_lines.JsonLines().records(self._origin, self._files, _SCHEMA)


def _parsed(lines: DataFrame) -> DataFrame:
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    return lines.withColumn("row", F.from_json("raw", f"{DDL}, {CORRUPT} STRING", options))


def _columns(frame: DataFrame) -> DataFrame:
    return frame.select(*(F.col("row").getField(name).alias(name) for name in COLUMNS))


def _barrier(frame: DataFrame) -> DataFrame:
    """Keeps Spark from leaving out what nobody looks at."""
    return frame.observe(Observation(), F.count(F.lit(1)).alias("n"))  # type: ignore[arg-type]  # connect's own


def measured(frame: Callable[[], DataFrame]) -> Callable[[Workload], Took]:
    def once(work: Workload) -> Took:
        began = time.perf_counter()
        frame().write.format("noop").mode("overwrite").save()
        return Took(seconds=time.perf_counter() - began, rows=work.rows)

    return once


def main(arguments: list[str]) -> None:
    """Prints a line per step."""
    key = arguments[0] if arguments else "w1"
    rounds = int(arguments[1]) if len(arguments) > 1 else 3
    refuse_unless_up(with_services=False)
    s3, name = s3_client(), f"steps-{uuid4().hex[:8]}"
    with bucket_of_its_own(s3, name):
        work = next(work for work in WORKLOADS if work.key == key).inside(name)
        put_all(s3, name, work.objects())
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=work.prefix)
        files = [
            FileVersion(name, item["Key"], item["ETag"].strip('"'), item["Size"], item["LastModified"])
            for page in pages
            for item in page["Contents"]
        ]
        spark = open_session(SessionKey(SPARK_URL, name, None))
        if not plain_lines.lent(spark):
            raise SystemExit(f"{SPARK_URL} cannot read plain lines: the log says why")
        steps = Steps(spark, work, files)
        ways = {
            "Spark's JSON source": steps.source,
            "lines": steps.lines,
            "lines with their files": lambda: steps.with_files().select("raw", "file"),
            "lines parsed": steps.parsed,
            "lines with their files, parsed": steps.parsed_with_files,
            "... and proved plain": steps.proved,
            "... and all that is asked of a line": steps.judged,
            "... and observed: the pass": steps.observed,
            "read inside of Spark": steps.inside,
            "inside, and all that is asked of a line": steps.inside_judged,
            "inside, and observed: the pass": steps.inside_observed,
        }
        try:
            runners = {title: Runner(title, measured(frame)) for title, frame in ways.items()}
            found = compare(work, runners, rounds, print)
        finally:
            spark.stop()
    first = next(iter(found.values()))
    for variant in found.values():
        times = variant.times(first)
        assert variant.spread
        assert times
        print(f"{variant.title:<38} {told(variant.spread):>26} s  {told(times):>26} x")


if __name__ == "__main__":
    main(sys.argv[1:])
