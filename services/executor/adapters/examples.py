"""Values that show why a table's columns change, with the files that they stand in."""

import json
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql.connect import functions as F

from libs.common.ddl import written_path
from libs.common.ledger.model.columns import Evidence
from libs.common.schema import Struct
from libs.common.schema_hints import at

EXAMPLES_MAX = 50
"""Fields that are looked up for one change: each is a part of one statement."""
_CHARS_MAX = 200
_NUMBERS = ("int", "bigint", "float", "double", "decimal")


def examples_in(
    records: DataFrame, schema: Struct, paths: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], Evidence]:
    """See ``ports.Table.examples``. ``records`` come from a reader, with this schema."""
    told = [path for path in paths if _leads_through_structs(schema, path)][:EXAMPLES_MAX]
    if not told:
        return {}
    good = records.where("NOT blank AND NOT bad")
    [found] = good.agg(*(_one_of(schema, path).alias(f"c{n}") for n, path in enumerate(told))).collect()
    return {path: _evidence(path, seen.uri, seen.told) for path, seen in zip(told, found, strict=True) if seen}


def _leads_through_structs(schema: Struct, path: tuple[str, ...]) -> bool:
    return all(isinstance(at(schema, path[:depth]), Struct) for depth in range(len(path)))


def _one_of(schema: Struct, path: tuple[str, ...]) -> Column:
    value = reduce(lambda inside, name: inside.getField(name), path, F.col("row"))
    seen = F.when(value.isNotNull(), F.struct("uri", F.to_json(F.struct(value.alias("value"))).alias("told")))
    is_number = str(at(schema, path)).split("(")[0] in _NUMBERS
    return F.max_by(seen, F.abs(value)) if is_number else F.first(seen, ignorenulls=True)


def _evidence(path: tuple[str, ...], file: str, told: str) -> Evidence:
    value = json.dumps(json.loads(told)["value"], ensure_ascii=False)
    shown = value if len(value) <= _CHARS_MAX else f"{value[: _CHARS_MAX - 1]}…"
    return Evidence(written_path(path), file, shown)
