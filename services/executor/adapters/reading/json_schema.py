"""The schema of JSON that is in a column, as Spark infers that of files.

Spark Connect has a relation for it, which the Python client does not offer.
"""

from typing import Any

import pyspark.sql.connect.proto as proto
from pyspark.sql import DataFrame
from pyspark.sql.connect.dataframe import DataFrame as ConnectDataFrame
from pyspark.sql.connect.plan import LogicalPlan
from pyspark.sql.connect.session import SparkSession

from libs.common.schema import Array, Field, Struct, Type, struct_from_json

CORRUPT = "_autoloader_corrupt"


def inferred(spark: SparkSession, texts: DataFrame) -> Struct:
    """What the texts of the only column show, each of them one value. Reads them all."""
    child: Any = texts
    found = ConnectDataFrame(_ParsedJson(child._plan), spark)  # noqa: SLF001 - the frame keeps its plan to itself
    shown = struct_from_json(found.schema.jsonValue())
    return once_each(Struct(tuple(f for f in shown.fields if f.name != CORRUPT)))


def once_each(found: Struct) -> Struct:
    """The struct with each name once, of a type that holds all values seen under it. Of an object with a key twice,
    Spark tells two fields; the parser takes the last value."""
    types: dict[str, Type] = {}
    for f in found.fields:
        types[f.name] = _both(types[f.name], f.type) if f.name in types else _once_each(f.type)
    return Struct(tuple(Field(name, type_) for name, type_ in types.items()))


def _once_each(found: Type) -> Type:
    match found:
        case Struct():
            return once_each(found)
        case Array(element=inner):
            return Array(_once_each(inner))
        case _:
            return found


def _both(one: Type, other: Type) -> Type:
    match one, other:
        case Struct(fields=some), Struct(fields=more):
            return once_each(Struct((*some, *more)))
        case Array(element=some), Array(element=more):
            return Array(_both(some, more))
        case _ if one == other:
            return one
        case _:
            return "double" if {one, other} == {"bigint", "double"} else "string"


class _ParsedJson(LogicalPlan):
    def plan(self, session: Any) -> Any:
        assert self._child is not None
        plan = self._create_proto_relation()
        plan.parse.input.CopyFrom(self._child.plan(session))
        plan.parse.format = proto.Parse.ParseFormat.PARSE_FORMAT_JSON
        plan.parse.options["columnNameOfCorruptRecord"] = CORRUPT
        return plan
