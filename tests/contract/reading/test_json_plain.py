"""What is taken for a plain line of JSON is one: a longer look finds nothing more in it."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql.connect import functions as F
from pyspark.sql.types import StringType, StructType

from libs.common.schema import Array, Field, Struct, Type, to_json
from services.executor.adapters.reading.json_plain import FIELDS_MAX, is_plain
from tests.contract.table.worlds import Spark

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark]

LINES = 20_000
CORRUPT = "_corrupt"
SCHEMA = Struct(
    (
        Field("i", "bigint"),
        Field("s", "string"),
        Field("d", "double"),
        Field("t", "timestamp"),
        Field("l", Array("string")),
        Field("o", Struct((Field("s", "string"), Field("i", "bigint")))),
    )
)
FIRST = '{"i": 1, "s": "a:b", "d": 0.5}'
NAMES = ['"i"', '"s"', '"d"', '"t"', '"l"', '"o"', '"x"', '"i:"', "'s'", '"\\u0069"', '"a:b"', '""', f'"{CORRUPT}"']
VALUES = [
    "1", "-2.5", "1e3", '"a"', '"a:b"', '":"', "'a:'", '""', "null", "true", "NaN", '"NaN"', "-INF", "Infinity",
    "1e999", '"2025-01-07T12:34:56Z"', '"\\u003a"', '"}"', '"{"', '["a", "b:c"]', "[]", '[{"a": 1}]', "{}", '{"i": 1}',
    '{"s": "a:b"}', '{"x": 1}', '{"s": {"x": NaN}}', '"é:"', '"it\'s: so"', "01", "+1", '"tab\t:"',
]  # fmt: skip
BEHIND = ["", "", "", "", " ", "\r", "}", " x", '{"i": 1}', ":", '"', " //:", "{}"]
BEHIND_IT = "get_json_object(concat('[', raw, ', 7]'), '$[1]')"
MARKS = "{}[]\":,\\ '}:1a"


def made_up(seed: int) -> Iterator[str]:
    """Lines that are JSON, nearly JSON, or none: known and unknown names, values that fit and that do not."""
    rng = random.Random(seed)
    yield FIRST
    while True:
        colon, comma = rng.choice([":", ": "]), rng.choice([",", ", "])
        # Mostly what is known, so that many lines are plain but for one thing.
        names = rng.sample(NAMES[:6], rng.randint(0, 4)) + rng.choices(NAMES, k=rng.choice([0, 0, 0, 1, 2]))
        fields = (f"{name}{colon}{rng.choice(VALUES)}" for name in names)
        line = "{" + comma.join(fields) + "}" + rng.choice(BEHIND)
        if rng.random() < 0.1:
            at = rng.randrange(len(line))
            line = line[:at] + rng.choice(MARKS) + line[at + rng.randint(0, 1) :]
        yield line


async def test_a_plain_line_has_no_field_that_the_schema_lacks(spark: Spark) -> None:
    """Nor anything behind its object; it is JSON for whoever looks for its keys, and has none of them twice."""
    source = made_up(8)
    lines = [next(source) for _ in range(LINES)]
    known = StructType.fromJson(to_json(SCHEMA)).add(CORRUPT, StringType())

    def look() -> list[Any]:
        frame = spark.sessions[0].createDataFrame([(line,) for line in lines], "raw string")
        looked = (
            frame.withColumn("row", F.from_json("raw", known, {"columnNameOfCorruptRecord": CORRUPT}))
            .withColumn("plain", is_plain(SCHEMA, CORRUPT))
            .selectExpr("raw", "plain", "json_object_keys(raw) AS keys", f"{BEHIND_IT} AS behind")
        )
        return looked.collect()

    found = await asyncio.to_thread(look)
    plain = [row for row in found if row["plain"]]
    assert all(row["plain"] is not None for row in found)
    for row in plain:
        assert row["keys"] is not None, row
        assert [] == sorted(set(row["keys"]) - {f.name for f in SCHEMA.fields}), row
        assert len(row["keys"]) == len(set(row["keys"])), row
        assert row["behind"] == "7", row
        if "'" not in row["raw"]:
            assert [] == unknown_in(SCHEMA, json.loads(row["raw"])), row
    # Of these lines many are plain, and all of those that are meant to be.
    assert len(plain) > LINES / 50
    assert found[0]["plain"]


def unknown_in(type_: Type, value: Any) -> list[str]:
    """Names in a value that its type has no place for, at any depth."""
    if not isinstance(type_, Struct) or not isinstance(value, dict):
        return []
    types = {f.name: f.type for f in type_.fields}
    inner = (name for key, v in value.items() if key in types for name in unknown_in(types[key], v))
    return [*(name for name in value if name not in types), *inner]


async def test_as_many_fields_as_are_looked_at_do_not_make_a_line_less_plain(spark: Spark) -> None:
    """The plan stays shallow enough to be sent, and its code small enough to be compiled."""
    schema = Struct(tuple(Field(f"c{number}", "string") for number in range(FIELDS_MAX)))
    known = StructType.fromJson(to_json(schema)).add(CORRUPT, StringType())
    lines = [
        json.dumps({f.name: "a:b" for f in schema.fields}),
        json.dumps({f.name: "a:b" for f in schema.fields} | {"x": 1}),
    ]

    def look() -> list[bool]:
        frame = spark.sessions[0].createDataFrame([(line,) for line in lines], "raw string")
        read = frame.withColumn("row", F.from_json("raw", known, {"columnNameOfCorruptRecord": CORRUPT}))
        return [row["plain"] for row in read.select(is_plain(schema, CORRUPT).alias("plain")).collect()]

    assert [True, False] == await asyncio.to_thread(look)
