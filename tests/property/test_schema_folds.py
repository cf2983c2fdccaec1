"""Files whose fields change from one to the next: whatever the order in which they are loaded, the table ends with the
same columns and the same rows.

The types are given by hints or by a schema, since what a first file looks like depends on which one is first.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.common.ddl import parse_type
from libs.common.ledger.states import FileState
from libs.common.schema import sql
from tests.integration.executor.world import World

TYPES = {
    "id": "bigint",
    "n": "int",
    "name": "string",
    "ok": "boolean",
    "meta": "struct<a: bigint, b: string>",
    "tags": "map<string,bigint>",
    "list": "array<struct<x: double>>",
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.integers(-(2**60), 2**60),
    "n": st.integers(-(2**31), 2**31 - 1),
    "name": st.text("ab", max_size=2),
    "ok": st.booleans(),
    "meta": st.fixed_dictionaries({}, optional={"a": st.integers(0, 9), "b": st.just("x")}),
    "tags": st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9), max_size=2),
    "list": st.lists(st.fixed_dictionaries({"x": st.floats(0, 1)}), max_size=2),
}
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(0, 9), st.just("text"), st.just({"a": "q"}), st.just([1, {}])
)


def records(values: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: st.one_of(st.none(), of) for name, of in values.items()})


def files(values: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[list[dict[str, Any]]]]:
    return st.lists(st.lists(records(values), min_size=1, max_size=3), min_size=1, max_size=5)


async def loaded(bodies: Sequence[list[dict[str, Any]]], order: Sequence[int], **rules: object) -> World:
    """A world whose batches, of a file each, were loaded in this order."""
    world = World()
    world.follow(**rules)
    named = [{f"{n}.json": "".join(json.dumps(r) + "\n" for r in body).encode()} for n, body in enumerate(bodies)]
    batches = await world.plan_batches(*named)
    for n in order:
        await world.attempt(await world.claim(batches[n]))
    await world.settle()
    return world


def bag(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Rows, where a column that is null is as good as one that is not there."""
    return Counter(json.dumps({k: v for k, v in row.items() if v is not None}, sort_keys=True) for row in rows)


@given(files(VALUES), st.randoms(use_true_random=False))
def test_columns_are_added_as_if_all_files_had_been_one(bodies: list[list[dict[str, Any]]], random: Any) -> None:
    """Every field that any file has is a column, under its hint's type; every row is there."""
    order = random.sample(range(len(bodies)), len(bodies))
    world = asyncio.run(loaded(bodies, order, hints=TYPES))
    rows = [record for body in bodies for record in body]
    assert bag(rows) == bag(world.records())
    assert world.columns().keys() >= {name for row in rows for name in row}
    assert all(column == sql(parse_type(TYPES[name])) for name, column in world.columns().items())
    assert set(world.states().values()) == {FileState.COMMITTED}


@given(files({**dict.fromkeys(TYPES, ANYTHING), "new": ANYTHING, "Id": ANYTHING}), st.randoms(use_true_random=False))
def test_what_no_column_holds_is_rescued_as_if_all_files_had_been_one(
    bodies: list[list[dict[str, Any]]], random: Any
) -> None:
    """The columns stay. Of each record, what its columns and its rescued part hold together is all of it."""
    order = random.sample(range(len(bodies)), len(bodies))
    given_columns = ", ".join(f"{name} {type_}" for name, type_ in TYPES.items())
    world = asyncio.run(
        loaded(bodies, order, inference="manual", schema_json=given_columns, schema_evolution_mode="rescue")
    )
    assert [*TYPES, "_rescued_data"] == list(world.columns())
    whole = []
    for row in world.records():
        rescued = json.loads(row.pop("_rescued_data", "{}"))
        assert rescued.pop("_file_path", "s3://landing/").startswith("s3://landing/")
        whole.append({**row, **rescued})
    assert bag([record for body in bodies for record in body]) == bag(whole)
    assert set(world.states().values()) == {FileState.COMMITTED}
