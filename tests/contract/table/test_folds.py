"""Files whose fields change from one to the next, loaded by the whole protocol into a table on Spark: the same columns
and rows as the table in memory ends with, in another order of the batches."""

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from libs.common.contracts.definition import Source
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import sql
from services.executor.ports import Table
from tests.contract.table.worlds import BUCKET, SparkWorld
from tests.integration.executor.world import World
from tests.support.memory_objects import MemoryObjects

pytestmark = pytest.mark.contract

FILES: dict[str, list[dict[str, Any]]] = {
    "a": [{"id": 1, "n": 1, "meta": {"a": 1}}, {"id": 2, "name": "x", "meta": {"a": 2, "b": "y"}}],
    "c": [{"id": 4, "n": 2**40, "list": [{"x": 0.5}, {"x": 1.5}]}],
    "d": [{"id": 5, "tags": {"k": 1, "l": 2}, "meta": None}, {"id": 6, "name": None, "list": [{"y": True}]}],
    "e": [{"id": 7, "n": "text", "meta": {"a": "z"}, "Id": 8}],
}
TYPES = {
    "id": "bigint",
    "n": "bigint",
    "name": "string",
    "meta": "struct<a: bigint, b: string>",
    "tags": "map<string, bigint>",
    "list": "array<struct<x: double, y: boolean>>",
}
RULES: dict[str, dict[str, Any]] = {
    "add_new_columns_with_type_widening": {"hints": {**TYPES, "n": "int"}},
    "rescue": {
        "inference": "manual",
        "schema_json": ", ".join(f"{name} {type_}" for name, type_ in {**TYPES, "n": "int"}.items()),
    },
}


class InBoth(MemoryObjects):
    """What is put here is put into the bucket of the world on Spark, too."""

    def __init__(self, on_spark: SparkWorld) -> None:
        super().__init__()
        self._spark = on_spark

    def put(self, bucket: str, key: str, body: bytes = b"") -> FileVersion:
        version = self._spark.put(key, body)
        return super().put(version.bucket, version.key, body)


class OnSpark(World):
    """A world whose table is on Spark, and whose files are in its bucket."""

    def __init__(self, on_spark: SparkWorld) -> None:
        super().__init__(objects=InBoth(on_spark))
        self.on_spark = on_spark
        source = Source(path=f"s3://{BUCKET}/")
        self.order = replace(self.order, definition=self.order.definition.model_copy(update={"source": source}))

    def table(self) -> Any:
        table: Table = self.on_spark.one
        return table


async def loaded(world: World, mode: str, names: list[str]) -> World:
    """One batch for each of these files, in this order. Some may fail."""
    world.follow(schema_evolution_mode=mode, **RULES[mode])
    bodies = [{f"{name}.json": "".join(json.dumps(r) + "\n" for r in FILES[name]).encode()} for name in names]
    for batch_id in await world.plan_batches(*bodies):
        await world.attempt(await world.claim(batch_id))
    return world


def plain(value: Any) -> Any:
    """A value without the nulls in it, as JSON would hold it: a struct's missing field and its null are one thing."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if v is not None}
    return [plain(v) for v in value] if isinstance(value, list) else value


def bag(rows: list[dict[str, Any]]) -> Counter[str]:
    for row in rows:
        if row.get("_rescued_data"):
            rescued = json.loads(row["_rescued_data"])
            row["_rescued_data"] = {k: v for k, v in rescued.items() if k != "_file_path"}
    return Counter(json.dumps(plain(row), sort_keys=True) for row in rows)


@pytest.mark.parametrize("mode", RULES)
async def test_spark_ends_with_the_same_table_in_another_order(on_spark: SparkWorld, mode: str) -> None:
    """Every mode that lets files in, with values that do not fit, new fields further in, and names in another case."""
    names = sorted(FILES)
    expected = await loaded(World(), mode, names)
    real = OnSpark(on_spark)
    random.Random(mode).shuffle(names)
    await loaded(real, mode, names)
    rows = await on_spark.sql(f"SELECT to_json(struct(*)) AS row FROM {on_spark.to.identifier}")
    schema = await on_spark.one.schema()
    assert schema is not None
    assert {**expected.columns()} == {f.name: sql(f.type) for f in schema.fields}
    assert bag(expected.records()) == bag([json.loads(row["row"]) for row in rows])
