"""The schema of JSON that is in a column, as Spark infers that of files.

Spark Connect has a relation for it, which the Python client does not offer.
"""

from typing import Any

import pyspark.sql.connect.proto as proto
from pyspark.sql import DataFrame
from pyspark.sql.connect.dataframe import DataFrame as ConnectDataFrame
from pyspark.sql.connect.plan import LogicalPlan
from pyspark.sql.connect.session import SparkSession

from libs.common.schema import Struct, struct_from_json

CORRUPT = "_autoloader_corrupt"


def inferred(spark: SparkSession, texts: DataFrame) -> Struct:
    """What the texts of the only column show, each of them one value. Reads them all."""
    child: Any = texts
    found = ConnectDataFrame(_ParsedJson(child._plan), spark)  # noqa: SLF001 - the frame keeps its plan to itself
    return without_corrupt(struct_from_json(found.schema.jsonValue()))


def without_corrupt(found: Struct) -> Struct:
    """The schema without the field for what is no JSON."""
    return Struct(tuple(f for f in found.fields if f.name != CORRUPT))


class _ParsedJson(LogicalPlan):
    def plan(self, session: Any) -> Any:
        assert self._child is not None
        plan = self._create_proto_relation()
        plan.parse.input.CopyFrom(self._child.plan(session))
        plan.parse.format = proto.Parse.ParseFormat.PARSE_FORMAT_JSON
        plan.parse.options["columnNameOfCorruptRecord"] = CORRUPT
        return plan
