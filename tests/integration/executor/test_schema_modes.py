"""What becomes of fields and values that a table has no place for: each mode, through the whole protocol."""

import json
from typing import Any

import pytest

from libs.common.errors import Permanent
from libs.common.ledger.states import FileState
from tests.integration.executor.world import World, lines

BIG = 2**40


def body(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


@pytest.fixture
def world() -> World:
    """A file with a value that does not fit is told from the others by its fate."""
    world = World()
    world.tolerate("skip_file")
    return world


async def test_hints_count_for_the_first_columns_and_for_later_ones(world: World) -> None:
    """A hint for a field that no file has yet makes its column, too."""
    world.follow(hints={"price": "decimal(10,2)", "meta.ts": "timestamp", "tags": "map<string,string>", "day": "date"})
    await world.load(a=body({"id": 1, "price": 2.5, "tags": {"x": "y"}}))
    first = {"id": "bigint", "price": "decimal(10,2)", "tags": "map<string, string>", "day": "date"}
    assert first == world.columns()
    await world.load(b=body({"id": 2, "meta": {"ts": "2025-01-07", "n": 1}}))
    assert {**first, "meta": "struct<`ts`: timestamp, `n`: bigint>"} == world.columns()
    assert 2 == len(world.records())


async def test_columns_that_were_given_are_the_tables(world: World) -> None:
    """Nothing is inferred; fields beyond them follow the mode."""
    world.follow(inference="manual", schema_json="id int, name string")
    await world.load(a=body({"id": 1}))
    assert {"id": "int", "name": "string"} == world.columns()
    await world.load(b=body({"id": 2, "more": True}))
    assert {"id": "int", "name": "string", "more": "boolean"} == world.columns()


async def test_a_type_is_widened_when_a_value_does_not_fit(world: World) -> None:
    """Only the column with such a value; what cannot be widened fails its file, as in other modes."""
    world.follow(inference="manual", schema_json="id int, n int, price decimal(4,2), b bigint",
                 schema_evolution_mode="add_new_columns_with_type_widening")  # fmt: skip
    await world.load(a=body({"id": 1, "n": 1, "price": 1.5, "b": 1}))
    await world.load(b=body({"id": 2, "n": BIG, "price": 123456, "b": 1}))
    assert {"id": "int", "n": "bigint", "price": "decimal(38,2)", "b": "bigint"} == world.columns()
    await world.load(c=body({"id": 3, "b": 1.5}))
    assert "bigint" == world.columns()["b"]
    assert {"a": FileState.COMMITTED, "b": FileState.COMMITTED, "c": FileState.FAILED} == world.states()
    [problem] = world.problems()["unparsable_file"]
    assert "field 'b' is double here and bigint in the table" in problem.message


async def test_a_type_is_widened_whatever_else_the_field_has(world: World) -> None:
    """Text in the same field, in another file or in the same, hides no number that asks for a wider type."""
    world.tolerate("continue")
    world.follow(inference="manual", schema_json="id int, n int, m int, k int",
                 schema_evolution_mode="add_new_columns_with_type_widening")  # fmt: skip
    await world.load(
        a=body({"id": 1, "n": "one"}, {"id": 2, "k": "x"}),
        b=body({"id": 3, "n": BIG}),
        c=body({"id": 4, "m": "one"}, {"id": 5, "m": BIG}),
    )
    assert {"id": "int", "n": "bigint", "m": "bigint", "k": "int"} == world.columns()
    assert [3, 5] == sorted(record["id"] for record in world.records())


async def test_without_widening_a_value_that_does_not_fit_fails_its_file(world: World) -> None:
    """The others are loaded."""
    world.follow(inference="manual", schema_json="id int")
    await world.load(a=body({"id": BIG}), b=body({"id": 1}))
    assert {"a": FileState.FAILED, "b": FileState.COMMITTED} == world.states()
    assert {"id": "int"} == world.columns()


async def test_a_file_with_new_columns_is_refused_where_that_is_the_rule(world: World) -> None:
    """It is named with its fields; nothing of it is loaded, and the others go on."""
    world.follow(schema_evolution_mode="fail_on_new_columns")
    await world.load(a=lines(1))
    await world.load(b=lines(2, more=1, also=2), c=lines(3))
    assert {"a": FileState.COMMITTED, "b": FileState.FAILED, "c": FileState.COMMITTED} == world.states()
    [problem] = world.problems()["new_columns"]
    assert "data/b.json" in (problem.file or "")
    assert "'also', 'more'" in problem.message
    assert {"id": "bigint"} == world.columns()
    assert [{"id": 1}, {"id": 3}] == world.records()


async def test_new_fields_are_left_out_where_that_is_the_rule(world: World) -> None:
    """The file is loaded; the columns stay."""
    world.follow(schema_evolution_mode="none")
    await world.load(a=lines(1))
    await world.load(b=lines(2, more=1))
    assert [{"id": 1}, {"id": 2}] == world.records()


async def test_a_hint_that_contradicts_the_table_is_told(world: World) -> None:
    """Before anything is read. With type widening, one that only widens is followed."""
    world.follow(inference="manual", schema_json="id int, s string")
    await world.load(a=body({"id": 1}))
    world.follow(hints={"id": "bigint"})
    claim = await world.claim(await world.next_run(b=body({"id": BIG})))
    with pytest.raises(Permanent, match=r"has id as int, and format\.schema\.hints says bigint") as caught:
        await world.attempt(claim)
    assert "hint_contradicts_table" == caught.value.code
    world.follow(hints={"id": "bigint"}, schema_evolution_mode="add_new_columns_with_type_widening")
    await world.settle()
    assert {"id": "bigint", "s": "string"} == world.columns()
    assert {"a": FileState.COMMITTED, "b": FileState.COMMITTED} == world.states()


async def test_what_asked_for_a_change_is_recorded(world: World) -> None:
    """With the batch that made it: the mode, each field, a file that has it, and a value."""
    await world.load(a=lines(1))
    await world.load(b=lines(2), c=lines(3, meta={"ts": "2025-01-07"}))
    await world.load(d=lines(4, meta={"ts": "x", "n": 7}))
    [versions] = world.ledger.schema_versions.values()
    assert ["add_new_columns"] * 3 == [v.mode for v in versions]
    assert [
        [],
        [("meta", "s3://landing/data/c.json", '{"ts": "2025-01-07"}')],
        [("meta.n", "s3://landing/data/d.json", "7")],
    ] == [[(e.column, e.file, e.example) for e in v.evidence] for v in versions]


async def test_files_with_new_columns_wait_until_somebody_decides(world: World) -> None:
    """Those beside them are loaded. What is approved becomes a column, what is rejected does not."""
    world.follow(hold_new_columns=True)
    await world.load(a=lines(1))
    await world.load(b=lines(2, good=1), c=lines(3, bad=1), d=lines(4))
    waiting = {"a": FileState.COMMITTED, "b": FileState.DISCOVERED, "c": FileState.DISCOVERED, "d": FileState.COMMITTED}
    assert waiting == world.states()
    assert {"good": "held", "bad": "held"} == world.ledger.decisions[world.ingestion_id]
    assert ["new_columns_held"] == list(world.problems())
    world.ledger.decisions[world.ingestion_id] = {"good": "approved", "bad": "rejected"}
    await world.load(b=lines(2, good=1), c=lines(3, bad=1))
    assert set(world.states().values()) == {FileState.COMMITTED}
    assert {"id": "bigint", "good": "bigint"} == world.columns()
    assert {1: None, 2: 1, 3: None, 4: None} == {row["id"]: row.get("good") for row in world.records()}


async def test_a_column_that_is_rejected_afterwards_is_not_filled_any_more(world: World) -> None:
    """What it has stays. In a table that rescues, nothing of it is lost."""
    world.follow(rescued_data_column="rest")
    await world.load(a=lines(1, junk="x"))
    world.ledger.decisions[world.ingestion_id] = {"junk": "rejected"}
    await world.load(b=lines(2, junk="y"))
    first, second = world.records()
    assert {"id": 1, "junk": "x"} == first
    assert {"junk": "y", "_file_path": "s3://landing/data/b.json"} == json.loads(second.pop("rest"))
    assert {"id": 2} == second


async def test_an_object_whose_names_are_data_is_a_map_from_its_first_file_on(world: World) -> None:
    """Other names make no other column; a value of another type does not fit."""
    pages = {f"page-{n}": n for n in range(101)}
    await world.load(a=body({"id": 1, "clicks": pages}))
    await world.load(b=body({"id": 2, "clicks": {"another": 5}, "seen": {"x": pages}}))
    columns = {"id": "bigint", "clicks": "map<string, bigint>", "seen": "struct<`x`: map<string, bigint>>"}
    assert columns == world.columns()
    await world.load(c=body({"id": 3, "clicks": {"another": "often"}}))
    assert columns == world.columns()
    assert {"a": FileState.COMMITTED, "b": FileState.COMMITTED, "c": FileState.FAILED} == world.states()


async def test_an_object_that_is_a_struct_already_stays_one(world: World) -> None:
    """Its new names are columns, as before."""
    await world.load(a=body({"id": 1, "o": {"x": 1}}))
    await world.load(b=body({"id": 2, "o": {f"n{n}": n for n in range(101)}}))
    assert 102 == world.columns()["o"].count("bigint")
