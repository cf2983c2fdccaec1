"""What a table does with values and fields that its columns have no place for, and how its types are widened."""

import json
from collections import Counter
from typing import Any

import pytest

from libs.common.ddl import parse_columns
from libs.common.ledger.model.columns import Evidence
from libs.common.schema import Struct, sql
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import is_ours, is_rescuing, with_provenance
from services.executor.domain.schema_change import Widening
from tests.contract.table.worlds import World, lines, read_of, rows, stage

pytestmark = pytest.mark.contract

COLUMNS = parse_columns(
    "id bigint, n int, price decimal(4,2), ok boolean, meta struct<a: bigint>, items array<struct<n: bigint>>, "
    "tags map<string, bigint>"
)
RESCUING = with_provenance(COLUMNS, (), "_rescued_data")


async def publish(world: World, schema: Struct, **bodies: bytes) -> None:
    staged = await stage(world.one, [world.put(f"{name}.json", body) for name, body in bodies.items()], schema)
    await world.one.publish(staged.snapshot_id)


async def test_types_are_widened_at_any_depth_and_rows_of_before_stay(world: World) -> None:
    """What Iceberg can change in place; asked for twice, by two executors, it is done once."""
    schema = await world.one.create(parse_columns("id int, price decimal(4,2), meta struct<n: int>, l array<int>"))
    await publish(world, schema, a=lines({"id": 1, "price": 1, "meta": {"n": 1}, "l": [1]}))
    wanted = [
        Widening(("id",), "int", "bigint"),
        Widening(("price",), "decimal(4,2)", "decimal(38,2)"),
        Widening(("meta", "n"), "int", "bigint"),
        Widening(("l", "element"), "int", "bigint"),
        Widening(("gone",), "int", "bigint"),
    ]
    wide = await world.one.widen(wanted)
    told = "struct<`id`: bigint, `price`: decimal(38,2), `meta`: struct<`n`: bigint>, `l`: array<bigint>>"
    assert told == sql(wide)
    assert wide == await world.other.widen(wanted)
    await publish(world, wide, b=lines({"id": 2**40, "meta": {"n": 2**40}, "l": [2**40]}))
    assert [(1,), (2**40,)] == await world.records("id")


async def test_a_change_is_shown_by_a_value_and_its_file(world: World) -> None:
    """Of numbers the largest; nothing inside of arrays, and nothing of what has no value."""
    schema = parse_columns("id bigint, meta struct<a: string, b: int>, items array<struct<n: bigint>>, x date")
    await world.one.create(schema)
    one = world.put("a.json", lines({"id": 1}, {"id": -(2**40), "meta": {"b": 1}}))
    other = world.put("sp ace+b.json", lines({"id": 7, "meta": {"a": "é", "b": -2}, "items": [{"n": 1}]}))
    paths = [("id",), ("meta", "a"), ("meta", "b"), ("meta",), ("items", "element", "n"), ("x",)]
    shown = await world.one.examples([one, other], schema, paths)
    assert {
        ("id",): Evidence("id", one.uri, str(-(2**40))),
        ("meta", "a"): Evidence("meta.a", other.uri, '"é"'),
        ("meta", "b"): Evidence("meta.b", other.uri, "-2"),
    } == {path: evidence for path, evidence in shown.items() if path != ("meta",)}
    assert "b" in json.loads(shown["meta",].example or "")


async def test_a_batch_that_was_staged_before_a_widening_can_be_published_after_it(world: World) -> None:
    """Another batch's values asked for it meanwhile."""
    schema = await world.one.create(parse_columns("id int"))
    staged = await stage(world.one, [world.put("a.json", rows([1]))], schema)
    await world.other.widen([Widening(("id",), "int", "bigint")])
    await publish(world, await world.one.schema() or Struct(), b=rows([2**40]))
    await world.one.publish(staged.snapshot_id)
    assert [1, 2**40] == await world.ids()


MISFITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "text for a number": ({"id": "x"}, {"id"}),
    "a fraction for a whole number": ({"id": 1.5, "n": 1}, {"id"}),
    "too large": ({"id": 1, "n": 2**31, "price": 100}, {"n", "price"}),
    "a number for a truth": ({"ok": 1, "n": 7}, {"ok"}),
    "inside a struct": ({"id": 1, "meta": {"a": "x"}}, {"meta"}),
    "inside an array": ({"id": 1, "items": [{"n": 1}, {"n": "x"}]}, {"items"}),
    "inside a map": ({"id": 1, "tags": {"a": 1, "b": "x"}}, {"tags"}),
    "a scalar for a struct": ({"id": 1, "meta": 7}, {"meta"}),
    "a struct for a scalar": ({"id": {"a": 1}, "n": 1}, {"id"}),
}


async def test_columns_that_a_value_does_not_fit_are_named(world: World) -> None:
    """With the file; a table without a place for such values takes no row of it."""
    await world.one.create(COLUMNS)
    good = world.put("good.json", lines({"id": 1, "n": None}))
    bad = {name: world.put(f"{name}.json", lines(record)) for name, (record, _) in MISFITS.items()}
    staged = await stage(world.one, [good, *bad.values()], COLUMNS)
    assert {bad[name].digest: frozenset(columns) for name, (_, columns) in MISFITS.items()} == staged.misfits
    assert FileRead(1, 1) == read_of(staged, good)
    assert dict.fromkeys(bad, FileRead(1, 0, 1)) == {name: read_of(staged, file) for name, file in bad.items()}
    counted = Counter(column for _, columns in MISFITS.values() for column in columns)
    assert counted == await world.one.misfits([good, *bad.values()], COLUMNS)


async def test_a_table_that_rescues_keeps_such_values_and_the_rest_of_the_row(world: World) -> None:
    """As JSON, with the file; the column is null, and every other one is filled."""
    schema = await world.one.create(RESCUING)
    assert is_rescuing(schema)
    files = {name: world.put(f"{name}.json", lines(record)) for name, (record, _) in MISFITS.items()}
    staged = await stage(world.one, list(files.values()), schema)
    assert {files[name].digest: frozenset(columns) for name, (_, columns) in MISFITS.items()} == staged.misfits
    assert {FileRead(1, 1)} == {read_of(staged, file) for file in files.values()}
    await world.one.publish(staged.snapshot_id)
    names = ("id", "n", "price", "ok")
    rescued = {json.loads(row[-1])["_file_path"]: row for row in await world.records(*names, "_rescued_data")}
    for name, (record, columns) in MISFITS.items():
        *kept, rest = rescued[files[name].uri]
        assert {**{c: record[c] for c in record if c in columns}, "_file_path": files[name].uri} == json.loads(rest)
        assert [None if c in columns else record.get(c) for c in names] == kept, name


async def test_fields_without_a_column_are_rescued_whole(world: World) -> None:
    """At the root; and a field that has something new further in, beside the part that its column holds."""
    schema = await world.one.create(RESCUING)
    new = {"x": 1, "It's": "t", "meta": {"a": 1, "b": [1, None]}, "items": [{"n": 1}, {"m": {"o": True}}]}
    file = world.put("new.json", lines({"id": 1, "n": 2, **new, "nothing": None}))
    staged = await stage(world.one, [file], schema)
    assert {file.digest: frozenset({"x", "It's", "meta.b", "items.element.m", "nothing"})} == staged.unknown_fields
    await world.one.publish(staged.snapshot_id)
    [(id_, n, rescued)] = await world.records("id", "n", "_rescued_data")
    assert (1, 2, {**new, "_file_path": file.uri}) == (id_, n, json.loads(rescued))


async def test_nothing_is_rescued_of_a_record_that_fits(world: World) -> None:
    """Nor of one whose unknown fields are all null."""
    schema = await world.one.create(RESCUING)
    await publish(world, schema, a=lines({"id": 1, "meta": {"a": 1}, "x": None}, {"id": 2}))
    assert [(1, None), (2, None)] == await world.records("id", "_rescued_data")


async def test_a_line_that_is_no_record_is_bad_in_a_table_that_rescues_too(world: World) -> None:
    """There is nothing to keep beside it."""
    schema = await world.one.create(RESCUING)
    bodies = [b'{"id": "x", "n": \n', b"[1]\n", b'{"id": "x"}{"id": 2}\n', b'{"id": "x"} y\n', b'{"ok": "caf\xe9"}\n']
    files = [world.put(f"{n}.json", body) for n, body in enumerate(bodies)]
    staged = await stage(world.one, files, schema)
    assert [FileRead(1, 0, 1)] * len(files) == [read_of(staged, f) for f in files]


async def test_a_required_column_is_never_rescued_away(world: World) -> None:
    """The table takes no row without its value."""
    schema = await world.one.create(with_provenance(parse_columns("id bigint not null, n int"), (), "rest"))
    file = world.put("a.json", lines({"id": "x"}, {"id": 1, "n": "y"}, {"n": 1}))
    assert FileRead(3, 1, 2) == read_of(await stage(world.one, [file], schema), file)


async def test_the_column_is_known_by_its_comment_whatever_its_name(world: World) -> None:
    """Also for whoever opens the table later."""
    await world.one.create(with_provenance(COLUMNS, (), "the_rest"))
    schema = await world.other.schema()
    assert schema is not None
    assert ["the_rest"] == [f.name for f in schema.fields if is_ours(f)]
    assert is_rescuing(schema)


async def test_a_column_that_is_not_read_is_null(world: World) -> None:
    """It is the table's, and no column of this batch: the field is unknown, and rescued where the table rescues."""
    whole = with_provenance(parse_columns("id bigint, junk string, n int"), (), "rest")
    await world.one.create(whole)
    part = Struct(tuple(f for f in whole.fields if f.name != "junk"))
    file = world.put("a.json", lines({"id": 1, "junk": "x", "n": 2}))
    staged = await stage(world.one, [file], part)
    assert {file.digest: frozenset({"junk"})} == staged.unknown_fields
    await world.one.publish(staged.snapshot_id)
    [(id_, junk, n, rest)] = await world.records("id", "junk", "n", "rest")
    assert (1, None, 2) == (id_, junk, n)
    assert {"junk": "x", "_file_path": file.uri} == json.loads(rest)
